"""The plan is pure: phases come from the seed and nothing else, order and small distances stay."""

from __future__ import annotations

from pathlib import Path

from acts import act
from hypothesis import given
from hypothesis import strategies as st

from labctl.scenario.kinds.conditions.wait import Wait
from labctl.scenario.model import Scenario, Step, TrafficSpec
from labctl.scenario.plan import PHASE_WINDOW_NS, make_plan
from labctl.testing.series import fake_lab

LAB = fake_lab(["a", "b", "r1"])
NODES = st.integers(0, 20_000_000_000)


def scenario(moments: list[int | None]) -> Scenario:
    steps = tuple(
        Step(index, act("power-off", (f"n{index}",), "cut"), at, None if at is not None else Wait(1), 5)
        for index, at in enumerate(moments)
    )
    traffic = (TrafficSpec("both", "a", "b", families=(4, 6)),)
    return Scenario("s", Path("s.yml"), "", Path("t.yml"), traffic, timeline=steps)


def test_a_single_run_does_everything_when_written() -> None:
    plan = make_plan(scenario([1, 5_000_000_000, None]), LAB, seed=3)
    assert [step.phase_ns for step in plan.steps] == [0, 0, 0]
    assert [step.due_ns for step in plan.steps] == [1, 5_000_000_000, None]


def test_streams_go_between_loopback_addresses() -> None:
    plan = make_plan(scenario([]), LAB, seed=3)
    assert [(one.name, one.source_address, one.destination_address) for one in plan.streams] == [
        ("both-v4", "10.255.0.1", "10.255.0.2"),
        ("both-v6", "fd00::1", "fd00::2"),
    ]


@given(st.lists(st.none() | NODES, max_size=6), st.integers(0, 2**31), st.integers(0, 100))
def test_phases_are_the_same_for_the_same_seed_and_run(
    moments: list[int | None], seed: int, run: int
) -> None:
    one = make_plan(scenario(moments), LAB, seed=seed, run=run, runs=101)
    assert one == make_plan(scenario(moments), LAB, seed=seed, run=run, runs=101)
    assert all(0 <= step.phase_ns < PHASE_WINDOW_NS for step in one.steps)


@given(st.lists(NODES, max_size=8).map(sorted), st.integers(0, 2**31))
def test_phases_keep_the_order_and_small_distances(moments: list[int], seed: int) -> None:
    plan = make_plan(scenario(list(moments)), LAB, seed=seed, run=1, runs=5)
    due = [step.due_ns for step in plan.steps]
    assert due == sorted(due)  # type: ignore[type-var]
    for before, after in zip(plan.steps, plan.steps[1:], strict=False):
        written = (after.step.at_ns or 0) - (before.step.at_ns or 0)
        if written < PHASE_WINDOW_NS:
            assert (after.due_ns or 0) - (before.due_ns or 0) == written


def test_runs_differ_in_their_phases() -> None:
    phases = {make_plan(scenario([0]), LAB, seed=1, run=run, runs=50).steps[0].phase_ns for run in range(50)}
    assert len(phases) == 50
    assert max(phases) > 0.8 * PHASE_WINDOW_NS
    assert min(phases) < 0.2 * PHASE_WINDOW_NS
