"""What a run needs of a lab: one interface, so that the same runner drives a real lab and a fake one."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from labctl.events import Listener
    from labctl.fault.types import Effect
    from labctl.lab.runtime import ExecResult
    from labctl.probe.evidence import FaultEvidence, LostPackets
    from labctl.probe.link_watch import SeenFlows
    from labctl.probe.types import Stream, StreamTally
    from labctl.scenario.kinds.action import Action

__all__ = ["FaultRecord", "LabBackend", "RunningTraffic", "RunningWatch", "Victim"]


class RunningTraffic(Protocol):
    """Traffic that flows."""

    @property
    def session(self) -> int:
        """Number that every packet of it carries."""

    def window(self, start_ns: int, end_ns: int) -> Sequence[StreamTally]:
        """What became of the packets that left in [start_ns, end_ns).

        Waits for what is on its way then, as long as makes sense.
        """

    def stop(self, *, drain_s: float) -> Sequence[StreamTally]:
        """Stop sending, wait for what is on its way, and count everything since the start."""

    def lost(self) -> Mapping[str, LostPackets]:
        """The packets that never arrived, by stream, once it was stopped."""

    def close(self) -> None:
        """Give everything back, whatever happened; may be called again."""


@dataclass(frozen=True, slots=True)
class Victim:
    """What a fault takes away.

    Attributes:
        names: nodes; or the two ends of a link as the scenario names them.
        of_link: whether it is a link.
    """

    names: tuple[str, ...]
    of_link: bool = False


class FaultRecord(Protocol):
    """What the links of a victim recorded round one fault."""

    @property
    def crossing(self) -> SeenFlows:
        """Which flows crossed the victim right before."""

    def evidence(self, lost: Mapping[str, LostPackets]) -> FaultEvidence:
        """Which of the lost packets were transmitted onto the victim's links."""


class RunningWatch(Protocol):
    """A record of the links of every victim of a run."""

    def add(self, victims: Sequence[Victim]) -> None:
        """Record the links of these as well, from now on."""

    def hold(self, key: int, victim: Victim) -> None:
        """A fault begins: disturb nothing of its victim until it was recorded."""

    def record_until(self, key: int, *, told_ns: int, closed_ns: int, span_ns: int) -> None:
        """The fault has taken effect: record its victim's links until then."""

    def recorded(self, key: int) -> FaultRecord:
        """What was recorded of a fault.

        Raises:
            ProbeError: nothing was.
        """

    def refresh(self) -> None:
        """Watch again what came back with fresh interfaces."""

    def close(self) -> None:
        """Watch no more; may be called again."""


class LabBackend(Protocol):
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

    def address(self, node: str, family: int) -> str:
        """The loopback address of a node (``family``: 4 or 6).

        Raises:
            ActionError: it has none.
        """

    def execute(self, node: str, argv: Sequence[str], timeout_s: float) -> ExecResult:
        """Run a command in a node and wait for its end.

        Raises:
            ActionError: the node is off or missing, or the command takes longer.
        """

    def read(self, node: str, path: str) -> bytes:
        """A file of a node.

        Raises:
            ActionError: the node is off, or has no such file.
        """

    def first_reply(self, node: str, to: str, within_ns: int) -> int | None:
        """How long a flow that is new takes to its first reply, ns; None if there is none in time.

        Raises:
            ActionError: the node is off or missing.
        """

    def start_traffic(self, streams: Sequence[Stream]) -> RunningTraffic:
        """Begin to send all streams.

        Raises:
            ProbeError: it cannot be sent or received at all.
        """

    def watch(
        self, victims: Sequence[Victim], traffic: RunningTraffic, streams: Sequence[Stream]
    ) -> RunningWatch:
        """Begin to record the links of these victims.

        Raises:
            LabctlError: it cannot be done at all.
        """

    def act(self, action: Action[Any], listen: Listener) -> Effect:
        """Do one thing to the lab.

        Raises:
            ActionError: it cannot be done.
        """

    def undo_all(self, listen: Listener) -> None:
        """Take back every fault in force, known to this process or not."""
