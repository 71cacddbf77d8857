"""What a condition is, how it is waited for, and what a kind of conditions is made of.

A kind says everything of itself in its file: what a user may write, one line of documentation with an
example, which nodes and streams it is about, and how it is waited for.
:data:`labctl.scenario.kinds.registry.CONDITIONS` finds the files. A loss window that is tried again is told
of each time: a retry hides no loss.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Annotated, Any, ClassVar

from pydantic import Field

from labctl.document.durations import format_duration
from labctl.document.entries import Duration, Entry
from labctl.errors import ActionError

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator, Mapping, Sequence

    from labctl.scenario.backend import LabBackend, RunningTraffic

__all__ = [
    "POLL_NS",
    "Condition",
    "ConditionKind",
    "Measured",
    "Polled",
    "PolledEntry",
    "Waiting",
    "polled",
]

POLL_NS = 100_000_000
"""Between two polls of a node: each costs a few ms of processor on the machine under test."""


@dataclass(frozen=True, slots=True)
class Measured:
    """How a condition ended.

    Attributes:
        met: whether it holds.
        values: plain JSON, for the journal.
    """

    met: bool
    values: dict[str, Any]

    @property
    def why(self) -> str:
        """What is missing, in one line."""
        missing = self.values.get("missing")
        if isinstance(missing, dict):
            return "; ".join(f"{node}: {text}" for node, text in missing.items())
        told = {"lost": "packets lost", "silent": "streams silent", "paths": "paths"}
        return ", ".join(f"{self.values[key]} {words}" for key, words in told.items() if key in self.values)


@dataclass(frozen=True, slots=True)
class Waiting:
    """Everything that it takes to wait for conditions.

    Attributes:
        backend: the lab.
        traffic: what flows; None before it was started.
        off: nodes without power, polled again each time: nobody waits for those to be ready unless they are
            named.
        retried: told of every loss window that missed and is tried again.
    """

    backend: LabBackend
    traffic: RunningTraffic | None
    off: Callable[[], Collection[str]]
    retried: Callable[[dict[str, Any]], None]


class Condition(ABC):
    """Something that is waited for. The classes of kinds are frozen dataclasses.

    Attributes:
        kind: the key in the scenario file, and what the journal calls it.
    """

    __slots__ = ()
    kind: ClassVar[str]

    @abstractmethod
    def wait(self, waiting: Waiting) -> Measured:
        """Wait until it holds or its time is over.

        Raises:
            ActionError: it cannot be asked for at all.
        """

    def nodes(self) -> Iterator[tuple[tuple[str | int, ...], str]]:
        """The nodes that it names, each with the keys of the entry that lead to it."""
        yield from ()

    def streams(self) -> tuple[str, ...] | None:
        """The streams that it is about (none for all); None if it needs no traffic."""
        return None

    def with_streams(self, of_name: Mapping[str, Sequence[str]]) -> Condition:  # noqa: ARG002 - for those that count
        """The same with names of traffic in the place of those that a user gave.

        Args:
            of_name: the streams that a name stands for: two for traffic of both IP versions.
        """
        return self

    def powered(self) -> Sequence[str]:
        """Nodes that must have power for it to hold."""
        return ()


@dataclass(frozen=True, slots=True)
class ConditionKind:
    """One word of ``steady`` and ``after``, with everything that labctl knows of it.

    Attributes:
        name: the key.
        doc: one line: when it holds.
        example: an entry as a user writes it.
        entry: the model of an entry; one of its fields has the alias ``name``.
        read: makes the condition of an entry.
    """

    name: str
    doc: str
    example: str
    entry: type[Entry]
    read: Callable[[Any], Condition]


class PolledEntry(Entry):
    """What every condition may say that is polled until it holds."""

    within: Annotated[Duration, Field(description="how long it may take")]
    for_: Annotated[
        Duration | None, Field(alias="for", description="how long it must hold without a break")
    ] = None
    not_: Annotated[bool | None, Field(alias="not", description="that it does not hold is waited for")] = None


@dataclass(frozen=True, slots=True)
class Polled(Condition):
    """A condition that is polled until it holds, or has held for some time.

    Attributes:
        within_ns: how long it may take to begin to hold for good.
        hold_ns: how long it must hold without a break; 0 for one poll.
        negated: that it does not hold is waited for.
    """

    within_ns: int
    hold_ns: int
    negated: bool

    @abstractmethod
    def poll(self, backend: LabBackend) -> Measured:
        """Whether it holds at this moment; ``values`` has ``missing`` where it does not.

        Raises:
            ActionError: the node is off, or what it answers cannot be read: nothing is known of it.
        """

    @abstractmethod
    def words(self) -> str:
        """What holds, in words."""

    def wait(self, waiting: Waiting) -> Measured:
        """Poll until it holds, for as long as it must."""
        backend = waiting.backend
        begin = backend.now_ns()
        since: int | None = None
        while True:
            measured = self._once(backend)
            now = backend.now_ns()
            since = (now if since is None else since) if measured.met else None
            if since is not None and now - since >= self.hold_ns:
                return replace(measured, values={**measured.values, "took_ns": since - begin})
            if since is None and now - begin >= self.within_ns:
                return replace(measured, values={**measured.values, "took_ns": now - begin})
            backend.sleep_until(now + POLL_NS)

    def _once(self, backend: LabBackend) -> Measured:
        try:
            measured = self.poll(backend)
        except ActionError as error:
            # Not met even if it is negated: that a node cannot be asked proves nothing.
            about = next((node for _, node in self.nodes()), self.kind)
            return Measured(met=False, values={"missing": {about: str(error)}})
        if not self.negated:
            return measured
        if measured.met:
            return Measured(met=False, values={**measured.values, "missing": {"still": self.words()}})
        return Measured(met=True, values={})

    def __str__(self) -> str:
        words = f"{self.kind}: {'not ' if self.negated else ''}{self.words()}"
        held = f" for {format_duration(self.hold_ns)}" if self.hold_ns else ""
        return f"{words}{held} within {format_duration(self.within_ns)}"


def polled(entry: PolledEntry) -> tuple[int, int, bool]:
    """The options of an entry as the first fields of :class:`Polled`."""
    return entry.within, entry.for_ or 0, bool(entry.not_)
