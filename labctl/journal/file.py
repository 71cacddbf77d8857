"""The journal: every event of a run, one JSON object a line, written as it happens.

Each line is written out at once, so that a killed labctl leaves every event up to then. Each line has its
number and a hash over itself and the line before: a changed, missing or added line is detected. That detects
damage; it does not prevent forgery, because anybody can compute the hashes anew.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import re
import stat
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

__all__ = ["FORMAT", "JOURNAL_NAME", "JournalWriter", "chain", "read_journal"]

FORMAT = 2
"""Of the journals that are written; what can be read is the verdict's to say."""

_CHAIN = ',"chain":"'
_HASH_DIGITS = 32

MAX_BYTES = 1 << 30
"""A larger file is not read: an hour of 64 flows that lose packets all the time has less."""

_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]")
_MAY_CONTROL = re.compile(r"\\u00[01789]|\\[bfr]|[\x7f-\x9f]")

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
            HostError: there can be none, or another run writes it.
        """
        try:
            self._file: IO[str] = open_output(path, alone=True)
        except HostError as error:
            raise HostError(f"no journal can be written to {error}") from error
        self.failure: OSError | None = None
        self._written = 0
        self._hash = ""
        self._lock = threading.Lock()

    def __call__(self, event: Event) -> None:
        """Write one event."""
        with self._lock:
            if self.failure is not None:
                return
            self._written += 1
            line = json.dumps(
                {"kind": event.kind, "t_ns": event.t_ns, "data": dict(event.data), "n": self._written},
                separators=(",", ":"),
                default=_plain,
                allow_nan=False,
            )
            body = line.removesuffix("}")
            self._hash = chain(self._hash, body)
            try:
                self._file.write(f'{body}{_CHAIN}{self._hash}"}}\n')
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


def chain(before: str, body: str) -> str:
    """The hash of a line.

    Args:
        before: that of the line before; empty for the first.
        body: the line up to, not including, ``,"chain":``.
    """
    return hashlib.sha256(f"{before}{body}".encode()).hexdigest()[:_HASH_DIGITS]


def read_journal(path: Path) -> tuple[Event, ...]:
    """Every event of a journal, in its order: event ``n`` stands in line ``n + 1``.

    A last line that was cut off by a kill is left out; a damaged line anywhere else is an error, and
    so is one whose hash does not follow from the line before it.

    Raises:
        InputError: there is no journal, or it is damaged.
    """
    try:
        lines = _text(path).removesuffix("\n").split("\n")
    except (OSError, UnicodeDecodeError) as error:
        raise InputError([Problem(str(path), 0, 0, f"no journal can be read here: {error}")]) from error
    items = list(_parse(lines, str(path)))
    if any(_format(item) > 1 for item in items):
        _check_chain(lines[: len(items)], items, str(path))
    return tuple(Event(kind=item["kind"], t_ns=item["t_ns"], data=item["data"]) for item in items)


def _text(path: Path) -> str:
    """The whole file. A pipe that nobody writes to would hang labctl, and a device might never end."""
    with os.fdopen(os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC), "rb") as file:
        state = os.fstat(file.fileno())
        if not stat.S_ISREG(state.st_mode):
            raise InputError([Problem(str(path), 0, 0, "is not a regular file, expected a journal")])
        if state.st_size > MAX_BYTES:
            message = f"is larger than {MAX_BYTES >> 20} MiB, which is more than a journal holds"
            raise InputError([Problem(str(path), 0, 0, message)])
        return file.read(MAX_BYTES).decode("utf-8")


def _shown(value: Any) -> Any:  # noqa: ANN401 - whatever JSON can say
    """The same with control characters written out: a node's words are nothing for a terminal to obey."""
    if isinstance(value, str):
        return _CONTROL.sub(lambda found: f"\\x{ord(found.group()):02x}", value)
    if isinstance(value, list):
        return [_shown(item) for item in value]
    if isinstance(value, dict):
        return {_shown(key): _shown(item) for key, item in value.items()}
    return value


def _parse(lines: list[str], path: str) -> Iterable[dict[str, Any]]:
    for number, line in enumerate(lines, start=1):
        try:
            item = json.loads(line)
            if _MAY_CONTROL.search(line):
                item = _shown(item)
            whole = isinstance(item, dict) and {"kind", "t_ns", "data"} <= set(item)
        except (ValueError, RecursionError):
            if number == len(lines) and number > 1:
                return
            whole = False
        if not whole:
            raise InputError([Problem(path, number, 1, "this line of the journal is damaged")])
        yield item


def _format(item: dict[str, Any]) -> int:
    """The format that a header tells; 0 of everything else."""
    data = item["data"]
    number = data.get("format") if item["kind"] == "run.header" and isinstance(data, dict) else 0
    return number if isinstance(number, int) else 0


def _check_chain(lines: list[str], items: list[dict[str, Any]], path: str) -> None:
    before = ""
    for number, (line, item) in enumerate(zip(lines, items, strict=True), start=1):
        body, _, rest = line.rpartition(_CHAIN)
        before = chain(before, body)
        if rest != f'{before}"}}' or item.get("n") != number:
            message = "the hash of this line does not follow from the line before it: one of them was changed"
            raise InputError([Problem(path, number, 1, message)])


def _plain(value: object) -> Any:  # noqa: ANN401 - whatever JSON takes
    """JSON for what a listener's data should not have held, rather than an exception in a listener."""
    return str(value)
