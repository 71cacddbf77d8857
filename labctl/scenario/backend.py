"""What a run needs of the world: one seam, so that the same runner drives a real lab and a fake one."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from labctl.events import Listener
    from labctl.fault.types import Effect
    from labctl.probe.types import Stream, StreamTally
    from labctl.scenario.model import Action

__all__ = ["RunningTraffic", "RunningWitness", "World"]


class RunningTraffic(Protocol):
    """Traffic that flows."""

    def window(self, start_ns: int, end_ns: int) -> Sequence[StreamTally]:
        """What became of the packets that left in [start_ns, end_ns).

        Waits for what is on its way then, as long as makes sense.
        """

    def stop(self, *, drain_s: float) -> Sequence[StreamTally]:
        """Stop sending, wait for what is on its way, and count everything since the start."""

    def close(self) -> None:
        """Give everything back, whatever happened; may be called again."""


class RunningWitness(Protocol):
    """Somebody inside a node who notes which flows cross it."""

    def seen(self) -> Mapping[str, set[int]]:
        """Flow numbers by stream, so far."""

    @property
    def dropped(self) -> int:
        """Packets that it could not keep: above 0, a flow that is missing may have crossed after all."""

    def close(self) -> None:
        """Leave the node; may be called again."""


class World(Protocol):
    """A running lab and its clock."""

    @property
    def nodes(self) -> tuple[str, ...]:
        """Every node, in topology order."""

    def now_ns(self) -> int:
        """The lab's one clock."""

    def sleep_until(self, t_ns: int) -> None:
        """Return at that moment, or at once if it has gone by."""

    def unready(self, node: str) -> str:
        """Empty when the node is ready; else, in one line, what is missing."""

    def paths(self, node: str, to: str) -> int:
        """Live next hops in the node's kernel towards the loopback address of another node.

        Raises:
            ActionError: the node is off or missing.
        """

    def read(self, node: str, path: str) -> bytes:
        """A file of a node.

        Raises:
            ActionError: the node is off, or has no such file.
        """

    def first_reply(self, node: str, to: str, within_ns: int) -> int | None:
        """How long a flow that is new takes to its first answer, ns; None if there is none in time.

        Raises:
            ActionError: the node is off or missing.
        """

    def start_traffic(self, streams: Sequence[Stream]) -> RunningTraffic:
        """Begin to send all streams.

        Raises:
            ProbeError: it cannot be sent or received at all.
        """

    def witness(self, node: str, streams: Sequence[Stream]) -> RunningWitness:
        """Begin to watch which flows cross a node."""

    def act(self, action: Action, listen: Listener) -> Effect:
        """Do one thing to the lab.

        Raises:
            ActionError: it cannot be done.
        """

    def undo_all(self, listen: Listener) -> None:
        """Take back every fault in force, known to this process or not."""
