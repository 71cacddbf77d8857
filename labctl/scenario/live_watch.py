"""The links of the victims of a run on a real lab: which ends are recorded, and where they are."""

from __future__ import annotations

from typing import TYPE_CHECKING

from labctl.errors import ActionError
from labctl.fault.dependents import guests_of
from labctl.fault.ends import far_ends, link_between, place
from labctl.lab.definition_cache import definition_of
from labctl.probe.link_watch import LinkWatch, WatchedEnd

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from labctl.lab.runtime import Runtime
    from labctl.lab.state import LabDir
    from labctl.probe.link_watch import Recorded
    from labctl.probe.types import Stream
    from labctl.scenario.backend import Victim

__all__ = ["LiveWatch", "ends_of"]


class LiveWatch:
    """Implements :class:`labctl.scenario.backend.RunningWatch` on a running lab."""

    def __init__(
        self,
        runtime: Runtime,
        lab: LabDir,
        victims: Sequence[Victim],
        session: int,
        streams: Sequence[Stream],
    ) -> None:
        """Record the links of these victims from now on; ``session`` is that of the traffic."""

        def netns_of(node: str) -> Path:
            found = place(runtime, lab, node)
            if found is None:
                raise ActionError(f"{node} has no network namespace")
            return found

        self._lab = lab
        self._ends = {victim: ends_of(lab, victim) for victim in victims}
        self._of_link: dict[int, bool] = {}
        self._watch = LinkWatch(streams, session, netns_of)
        self._watch.start(self._every_end())

    def add(self, victims: Sequence[Victim]) -> None:
        """See :class:`labctl.scenario.backend.RunningWatch`."""
        self._ends.update({victim: ends_of(self._lab, victim) for victim in victims})
        self.refresh()

    def hold(self, key: int, victim: Victim) -> None:
        """See :class:`labctl.scenario.backend.RunningWatch`."""
        self._of_link[key] = victim.of_link
        self._watch.hold(key, self._ends[victim])

    def record_until(self, key: int, *, told_ns: int, closed_ns: int, span_ns: int) -> None:
        """See :class:`labctl.scenario.backend.RunningWatch`."""
        self._watch.record_until(key, told_ns=told_ns, closed_ns=closed_ns, span_ns=span_ns)

    def recorded(self, key: int) -> Recorded:
        """See :class:`labctl.scenario.backend.RunningWatch`."""
        return self._watch.recorded(key, of_link=self._of_link.get(key, False))

    def refresh(self) -> None:
        """See :class:`labctl.scenario.backend.RunningWatch`."""
        self._watch.refresh(self._every_end())

    def close(self) -> None:
        """See :class:`labctl.scenario.backend.RunningWatch`."""
        self._watch.close()

    def _every_end(self) -> list[WatchedEnd]:
        return [end for ends in self._ends.values() for end in ends]


def ends_of(lab: LabDir, victim: Victim) -> tuple[WatchedEnd, ...]:
    """The link ends at which a victim is recorded.

    A link is recorded at both ends. A node is recorded at the far end of each of its links, together
    with the virtual machines that live on its power: a link between two of these is inside the victim.
    """
    if victim.of_link:
        link = link_between(lab, *victim.names)
        return (WatchedEnd(link.a.node, link.a.interface, 0), WatchedEnd(link.b.node, link.b.interface, 1))
    definition = definition_of(lab)
    inside = {member for name in victim.names for member in (name, *guests_of(definition, name))}
    found = {
        WatchedEnd(end.node, end.interface)
        for member in inside
        for end in far_ends(definition, member)
        if end.node not in inside
    }
    return tuple(sorted(found))
