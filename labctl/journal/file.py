"""The journal: everything that happened, one JSON object a line, as it happens.

Each line is written out at once, so that a killed labctl leaves all that it knew.
"""

from __future__ import annotations

import contextlib
import json
import threading
from typing import TYPE_CHECKING, Any, Self

from labctl.errors import HostError, InputError, Problem
from labctl.events import Event
from labctl.output_file import open_output

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path
    from types import TracebackType
    from typing import IO

__all__ = ["FORMAT", "JOURNAL_NAME", "JournalWriter", "read_journal"]

FORMAT = 1
"""Of the journal; a reader refuses another one."""

JOURNAL_NAME = "journal.jsonl"


class JournalWriter:
    """A listener that writes every event as a line. A context manager.

    Attributes:
        failure: why it could not write; from then on it writes nothing. It does not raise, since
            whoever tells it something may be about to heal a lab.
    """

    def __init__(self, path: Path) -> None:
        """Open a fresh journal; what stood there before is overwritten.

        Raises:
            HostError: there can be none.
        """
        try:
            self._file: IO[str] = open_output(path)
        except HostError as error:
            raise HostError(f"no journal can be written to {error}") from error
        self.failure: OSError | None = None
        self._lock = threading.Lock()

    def __call__(self, event: Event) -> None:
        """Write one event."""
        line = json.dumps(
            {"kind": event.kind, "t_ns": event.t_ns, "data": dict(event.data)},
            separators=(",", ":"),
            default=_plain,
            allow_nan=False,
        )
        with self._lock:
            if self.failure is not None:
                return
            try:
                self._file.write(line + "\n")
                self._file.flush()
            except OSError as error:
                self.failure = error

    def close(self) -> None:
        """Close the file."""
        with contextlib.suppress(OSError):  # told already: closing tries to write once more
            self._file.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def read_journal(path: Path) -> tuple[Event, ...]:
    """Every event of a journal, in its order.

    A last line that was cut off by a kill is left out; a damaged line anywhere else is an error.

    Raises:
        InputError: there is no journal, or it is damaged.
    """
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise InputError([Problem(str(path), 0, 0, f"no journal can be read here: {error}")]) from error
    return tuple(_parse(lines, str(path)))


def _parse(lines: list[str], path: str) -> Iterable[Event]:
    for number, line in enumerate(lines, start=1):
        try:
            item = json.loads(line)
            yield Event(kind=item["kind"], t_ns=int(item["t_ns"]), data=item["data"])
        except (ValueError, KeyError, TypeError) as error:
            if number == len(lines):
                return
            raise InputError([Problem(path, number, 1, "this line of the journal is damaged")]) from error


def _plain(value: object) -> Any:  # noqa: ANN401 - whatever JSON takes
    """JSON for what a listener's data should not have held, rather than an exception in a listener."""
    return str(value)
