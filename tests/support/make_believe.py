"""A power cycle on a fake lab, and its verdict: for tests of code that reads journals."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from acts import act
from sightings import with_evidence

from labctl.scenario.kinds.conditions.ready import Ready
from labctl.scenario.model import Expectation, Scenario, Step, TrafficSpec
from labctl.testing.backend import FakeBackend, ManyLost, Mask, Numbers, fates
from labctl.testing.series import play
from labctl.verdict import judge

if TYPE_CHECKING:
    from collections.abc import Collection

    from labctl.events import Event
    from labctl.probe.types import Stream
    from labctl.verdict import Result

__all__ = ["MS", "SECOND", "Bench"]

SECOND = 1_000_000_000
MS = 1_000_000


@dataclass
class Bench:
    """Builds a scenario of one power cycle, runs it on a fake backend, judges the journal.

    Attributes:
        out: folder for the journal.
        expect: what is expected.
        rate: packets a second of each of the two streams, ``in`` and ``out``.
        flows: of each stream.
        timeline: gw1 off after 2 s and on again after 4 s.
        backend: the lab; change it as wanted before :meth:`judge`.
        onto_link_ms: for so long after the cut the victim's neighbours go on sending to it.
    """

    out: Path
    expect: tuple[Expectation, ...] = (
        Expectation("convergence-loss", packets=0, text="convergence-loss: all, packets: 0"),
    )
    rate: float = 640.0
    flows: int = 8
    timeline: tuple[Step, ...] = (
        Step(0, act("power-off", ("gw1",), "cut"), at_ns=2 * SECOND),
        Step(1, act("power-on", ("gw1",)), at_ns=4 * SECOND),
    )
    backend: FakeBackend = field(default_factory=lambda: FakeBackend(nodes=("ext1", "srv1", "gw1")))
    onto_link_ms: float = 1.0

    def scenario(self) -> Scenario:
        """The scenario as it would be loaded."""
        return Scenario(
            name="bench",
            path=Path("bench.yml"),
            text="name: bench\n",
            topology=Path("none.yml"),
            traffic=(
                TrafficSpec("in", "ext1", "srv1", rate_pps=self.rate, flows=self.flows),
                TrafficSpec("out", "srv1", "ext1", rate_pps=self.rate, flows=self.flows),
            ),
            steady=(Ready((), 30 * SECOND),),
            timeline=self.timeline,
            expect=self.expect,
            settle_ns=2 * SECOND,
        )

    def events(self, **options: Any) -> tuple[Event, ...]:
        """Run it; options as those of :func:`labctl.testing.series.play`."""
        return play(self.scenario(), self.backend, self.out, **options)

    def judge(self, **options: Any) -> Result:
        """Run it and judge the journal, with evidence of what was on the victim's links.

        Packets that leave within ``self.onto_link_ms`` of the cut were put onto a link of the victim.
        """
        return judge(self.seen(**options))

    def seen(self, **options: Any) -> list[Event]:
        """Run it; the journal with evidence."""
        return with_evidence(self.events(**options), until_ms=self.onto_link_ms)

    def lose(
        self,
        start_ms: float,
        end_ms: float,
        *,
        step: str = "power-off gw1",
        stream: str = "in",
        flows: Collection[int] | None = None,
    ) -> Bench:
        """Lose, besides, what leaves between two moments after the request of an action."""
        backend, before = self.backend, self.backend.lost
        first_ns, last_ns = start_ms * MS, end_ms * MS

        def lost(one: Stream, numbers: Numbers, t_ns: Numbers) -> Mask:
            gone = fates(before, one, numbers, t_ns)
            if one.name != stream:
                return gone
            ours = np.isin(numbers, list(flows)) if flows is not None else np.True_
            for done, moment in backend.done:
                if done == step:
                    gone = gone | (ours & (t_ns - moment >= first_ns) & (t_ns - moment <= last_ns))
            return gone

        backend.lost = ManyLost(lost)
        return self
