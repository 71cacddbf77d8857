"""Actions as files: what each says of itself, several targets, how long a fault lasts."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import yaml

from labctl.errors import InputError
from labctl.scenario.kinds.registry import ACTIONS
from labctl.scenario.load import load_scenario
from labctl.scenario.plan import make_plan

if TYPE_CHECKING:
    from labctl.scenario.kinds.action import ActionKind
    from labctl.scenario.model import Scenario

ROOT = Path(__file__).parents[3]
SECOND = 1_000_000_000
TOPOLOGY = """\
name: t
nodes:
  a: {role: host}
  r1: {role: router}
  gw[1-3]: {role: gateway}
  b: {role: host}
links:
  - [a, r1]
  - [r1, "gw[1-3]"]
  - ["gw[1-3]", b]
"""
HEAD = "name: s\ntopology: t.yml\ntraffic: [{name: in, from: a, to: b}]\ntimeline:\n"


def load(folder: Path, *entries: str) -> Scenario:
    (folder / "t.yml").write_text(TOPOLOGY)
    (folder / "s.yml").write_text(HEAD + "".join(f"  - {entry}\n" for entry in entries))
    return load_scenario(folder / "s.yml")[0]


def told(folder: Path, *entries: str) -> list[str]:
    with pytest.raises(InputError) as caught:
        load(folder, *entries)
    return [str(problem).removeprefix(f"{folder}/") for problem in caught.value.problems]


def steps(scenario: Scenario) -> list[str]:
    return [str(step) for step in scenario.timeline]


@pytest.mark.parametrize("kind", ACTIONS.values(), ids=lambda kind: kind.name)
def test_an_action_says_what_it_is(kind: ActionKind[Any]) -> None:
    example = yaml.safe_load(kind.example)
    example.pop("for", None) if kind.for_needed else None
    actions = kind.read(kind.entry.model_validate(example))
    assert actions
    undo = f"`{kind.undo.name}`" if kind.undo is not None else "-"
    rows = (ROOT / "docs/scenario.md").read_text()
    assert f"| `{kind.example}` | {kind.doc} | {undo} |\n" in rows


def test_an_undo_undoes_something_and_is_no_fault() -> None:
    for kind in ACTIONS.values():
        if kind.undo is not None:
            assert kind.undo is ACTIONS[kind.undo.name]
            assert not kind.undo.breaks


def test_a_pattern_is_one_step_a_node_and_a_stagger_is_between_them(tmp_path: Path) -> None:
    found = load(tmp_path, "{at: 1s, power-off: 'gw[1-3]', stagger: 200ms}")
    assert steps(found) == [
        "power-off gw1 at 1 s",
        "power-off gw2 at 1.2 s",
        "power-off gw3 at 1.4 s",
    ]
    assert [step.entry for step in found.timeline] == [0, 0, 0]


def test_nodes_and_links_in_lists(tmp_path: Path) -> None:
    found = load(
        tmp_path, "{at: 1s, link-cut: [r1, 'gw[2-3]']}", "{at: 2s, link-restore: [[r1, gw2], [r1, gw3]]}"
    )
    assert steps(found) == [
        "link-cut r1 - gw2 at 1 s",
        "link-cut r1 - gw3 at 1 s",
        "link-restore r1 - gw2 at 2 s",
        "link-restore r1 - gw3 at 2 s",
    ]


def test_a_fault_that_lasts_is_taken_back_after_its_time(tmp_path: Path) -> None:
    found = load(
        tmp_path,
        "{at: 1s, link-blackhole: [r1, gw1], for: 3s}",
        "{at: 2s, power-off: gw2, mode: graceful, for: 500ms}",
        "{after: {ready: gw2, within: 9s}, plus: 1s, power-cycle: 'gw[2-3]', for: 3s, stagger: 1s}",
    )
    assert steps(found) == [
        "link-blackhole r1 - gw1 at 1 s",
        "power-off gw2 (graceful) at 2 s",
        "power-on gw2 at 2.5 s",
        "link-restore r1 - gw1 at 4 s",
        "power-off gw2 1 s after (ready: gw2 within 9 s)",
        "power-off gw3 1 s after step 5",
        "power-on gw2 3 s after step 5",
        "power-on gw3 4 s after step 5",
    ]
    assert [step.index for step in found.timeline] == list(range(8))
    assert [step.since for step in found.timeline] == [None, None, 1, 0, None, 4, 4, 4]


@pytest.mark.parametrize(
    ("entry", "wanted"),
    [
        ("{at: 1s, power-on: gw1, for: 1s}", "5:34: nothing takes power-on back (for belongs to "),
        ("{at: 1s, kill: {node: gw1, process: bgpd}, for: 1s}", "nothing takes kill back"),
        ("{at: 1s, power-cycle: gw1}", "5:27: power-cycle needs for (such as for: 3s)"),
        ("{at: 1s, power-off: gw1, stagger: 1s}", "power-off has one target here, and stagger is the time"),
        ("{at: 1s, power-off: 'gw[1-9]'}", "5:25: unknown node 'gw4'"),
        ("{at: 1s, power-off: 'gw[1-'}", "5:25: "),
        ("{at: 1s, power-off: [gw1, gw1]}", "gw1 is named twice"),
        ("{at: 1s, power-off: []}", "expected a node, a pattern such as gw[1-3], or a list of them"),
        ("{at: 1s, link-cut: [r1]}", "expected the two ends of a link, not 1"),
        ("{at: 1s, link-cut: [r1, [gw1]]}", "expected node or node:interface"),
        ("{at: 1s, link-cut: r1}", "expected a link such as [r1, gw1]"),
        ("{at: 1s, power-of: gw1}", "unknown key 'power-of' (did you mean 'power-off'?)"),
        ("{at: 1s, power-off: gw1, power-on: gw2}", "exactly one of check, exec, "),
        ("{at: 1s, power-off: 'gw[1-100000]'}", "stands for 100000 names, expected at most 1024"),
    ],
)
def test_what_cannot_be_is_one_line_with_its_place(tmp_path: Path, entry: str, wanted: str) -> None:
    found = told(tmp_path, entry)
    assert any(wanted in line for line in found), found


def test_an_unknown_target_of_a_fault_that_lasts_is_told_once(tmp_path: Path) -> None:
    assert len(told(tmp_path, "{at: 1s, power-cycle: gw9, for: 2s}")) == 1


def test_a_fault_that_still_lasts_is_in_force(tmp_path: Path) -> None:
    found = told(tmp_path, "{at: 1s, power-cycle: gw1, for: 5s}", "{at: 2s, power-off: gw1}")
    assert found == ["s.yml:6:25: gw1 has that fault already, from step 1"]
    load(tmp_path, "{at: 1s, power-cycle: gw1, for: 5s}", "{at: 9s, power-off: gw1}")


@pytest.mark.parametrize("seed", range(20))
def test_in_a_series_a_fault_lasts_as_long_as_written(tmp_path: Path, seed: int) -> None:
    found = load(
        tmp_path,
        "{at: 1s, power-cycle: gw1, for: 6s}",
        "{at: 3500ms, power-cycle: gw2, for: 2s}",
        "{at: 12s, power-cycle: gw3, for: 1s}",
        "{after: {wait: 1s}, power-cycle: gw3, for: 2s}",
    )
    _, loaded = load_scenario(tmp_path / "s.yml")
    plan = make_plan(found, loaded.lab, seed=seed, run=3, runs=9)
    due = {str(one.step.action): one.due_ns or 0 for one in plan.steps[:6]}
    assert due["power-on gw1"] - due["power-off gw1"] == 6 * SECOND
    assert due["power-on gw2"] - due["power-off gw2"] == 2 * SECOND
    moments = [one.due_ns for one in plan.steps[:6]]
    assert moments == sorted(moments)  # type: ignore[type-var]
    assert [one.phase_ns == plan.steps[6].phase_ns for one in plan.steps[6:]] == [True, True]


def test_a_stopped_process_is_continued_by_its_own_name(tmp_path: Path) -> None:
    found = load(
        tmp_path,
        "{at: 1s, process: {node: gw1, name: bgpd, do: stop}, for: 2s}",
        "{at: 2s, process: {node: gw1, name: zebra, do: stop}}",
        "{at: 5s, process: {node: gw1, name: zebra, do: continue}}",
    )
    bgpd, zebra, first, second = (step.action for step in found.timeline)
    assert [str(one) for one in (bgpd, zebra, first, second)] == [
        "process-stop gw1 (bgpd)",
        "process-stop gw1 (zebra)",
        "process-continue gw1 (bgpd)",
        "process-continue gw1 (zebra)",
    ]
    assert [first.takes_back(bgpd), first.takes_back(zebra), second.takes_back(zebra)] == [True, False, True]
    assert bgpd.undone() == first


@pytest.mark.parametrize(
    ("do", "name", "breaks"),
    [
        ("kill", "kill", True),
        ("restart", "process-restart", True),
        ("stop", "process-stop", True),
        ("continue", "process-continue", False),
        ("SIGHUP", "process-signal", False),
    ],
)
def test_what_is_done_to_a_process_says_whether_it_is_a_fault(
    tmp_path: Path,
    do: str,
    name: str,
    breaks: bool,  # noqa: FBT001
) -> None:
    action = load(tmp_path, f"{{at: 1s, process: {{node: gw1, name: bgpd, do: {do}}}}}").timeline[0].action
    assert (action.name, action.traits["breaks"]) == (name, breaks)


@pytest.mark.parametrize(
    ("entry", "wanted"),
    [
        ("{at: 1s, process: {node: gw1, name: bgpd, do: restrat}}", "(did you mean 'restart'?)"),
        ("{at: 1s, process: {node: gw9, name: bgpd, do: kill}}", "5:23: unknown node 'gw9'"),
        ("{at: 1s, link-flap: {link: [r1, gw1], down: 2s, times: 2}}", "every was expected to be longer"),
        ("{at: 1s, link-flap: {link: [r1, gw1], down: 1ms, times: 99}}", "to end within 60 s"),
        ("{at: 1s, link-flap: {link: [r1, b], down: 1ms}}", "there is no link between r1 and b"),
        ("{at: 1s, link-blackhole: [r1, gw1], from: b}", "b is no end of r1-gw1 (from is r1 or gw1)"),
        ("{at: 1s, exec: {node: gw1}}", "run"),
        ("{at: 1s, exec: {node: gw1, run: x, json: {path: a}}}", "one of equals, at-least, at-most"),
    ],
)
def test_what_cannot_be_done_to_a_node_is_told(tmp_path: Path, entry: str, wanted: str) -> None:
    found = told(tmp_path, entry)
    assert any(wanted in line for line in found), found
