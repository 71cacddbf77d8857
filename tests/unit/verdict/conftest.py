"""Scenarios and worlds of make-believe for the verdict's tests."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

import pytest

from labctl.scenario.fake import FakeWorld
from labctl.scenario.fake_series import play
from labctl.scenario.model import Action, Expectation, Ready, Scenario, Step, TrafficSpec
from labctl.verdict import judge

SECOND = 1_000_000_000
MS = 1_000_000


@dataclass
class Bench:
    """Builds a scenario of one power cycle, runs it in a fake world, judges the journal."""

    out: Path
    expect: tuple[Expectation, ...] = (
        Expectation("repair-loss", packets=0, text="repair-loss: all, packets: 0"),
    )
    rate: float = 640.0
    flows: int = 8
    timeline: tuple[Step, ...] = (
        Step(0, Action("power-off", ("gw1",), "cut"), at_ns=2 * SECOND),
        Step(1, Action("power-on", ("gw1",)), at_ns=4 * SECOND),
    )
    world: FakeWorld = field(default_factory=lambda: FakeWorld(nodes=("ext1", "srv1", "gw1")))

    def scenario(self):
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

    def events(self, **options):
        return play(self.scenario(), self.world, self.out, **options)

    def judge(self, **options):
        return judge(self.events(**options))

    def lose(self, start_ms: float, end_ms: float, *, step: str = "power-off gw1", stream="in", flows=None):
        """Lose what leaves between two moments after the request of an action."""
        world, before = self.world, self.world.lost

        def lost(one, flow, t_ns):
            if before(one, flow, t_ns):
                return True
            if one.name != stream or (flows is not None and flow not in flows):
                return False
            return any(
                start_ms * MS <= t_ns - moment <= end_ms * MS for done, moment in world.done if done == step
            )

        world.lost = lost
        return self


@pytest.fixture
def bench(tmp_path):
    return Bench(tmp_path)
