"""The controller's own log: one JSON object a line, written out at once, times CLOCK_MONOTONIC."""

from __future__ import annotations

import json
import time
from typing import TYPE_CHECKING, Self

if TYPE_CHECKING:
    from pathlib import Path
    from types import TracebackType

__all__ = ["EventLog", "now_ns"]


def now_ns() -> int:
    """CLOCK_MONOTONIC in nanoseconds: the same clock in every namespace of a machine."""
    return time.clock_gettime_ns(time.CLOCK_MONOTONIC)


class EventLog:
    """Appends events to a file; a context manager.

    Each line: ``{"kind": ..., "t_ns": ..., "data": {...}}``, as in a journal.
    """

    def __init__(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self._file = path.open("a", encoding="utf-8", buffering=1)

    def tell(self, kind: str, t_ns: int | None = None, **data: object) -> None:
        """Write one event; it happened now unless a moment is given."""
        moment = now_ns() if t_ns is None else t_ns
        line = json.dumps({"kind": kind, "t_ns": moment, "data": data}, separators=(",", ":"))
        self._file.write(line + "\n")

    def close(self) -> None:
        """Close the file."""
        self._file.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
