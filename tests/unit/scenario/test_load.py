"""Scenario files: what is read, and every problem at once with its place."""

from __future__ import annotations

import contextlib
import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from labctl.errors import InputError
from labctl.scenario.kinds.conditions.ecmp_paths import EcmpPaths
from labctl.scenario.kinds.conditions.loss import Loss
from labctl.scenario.kinds.conditions.ready import Ready
from labctl.scenario.kinds.conditions.wait import Wait
from labctl.scenario.load import load_scenario
from labctl.scenario.model import Expectation

TOPOLOGY = """\
name: t
nodes:
  a: {role: host}
  r[1-2]: {role: router}
  b: {role: host}
links:
  - [a, "r[1-2]"]
  - ["r[1-2]", b]
"""

GOOD = """\
name: good
topology: t.yml
traffic:
  - {name: there, from: a, to: b, rate: 100, flows: 4}
  - {name: back, from: b, to: a, family: both}
steady:
  - {ready: all, within: 30s}
  - {loss: there, for: 2s}
timeline:
  - {at: 3s, power-off: r1, mode: graceful}
  - {at: 8s, power-on: r1}
  - {after: {ready: [r1], within: 30s}, plus: 3s, link-cut: [a, "r1"]}
  - {after: {ecmp-paths: a, to: b, paths: 1, within: 5s}, link-restore: ["r1", a]}
  - {after: {wait: 1s}, power-off: r2}
expect:
  - {convergence-loss: all, packets: 0}
  - {outage: [there, back], longest: 50ms, quantile: 0.95}
  - {loss: back, packets: 3, bound: 0.1}
"""


def write(folder: Path, text: str, topology: str = TOPOLOGY) -> Path:
    (folder / "t.yml").write_text(topology)
    (folder / "s.yml").write_text(text)
    return folder / "s.yml"


def problems(folder: Path, text: str) -> list[str]:
    path = write(folder, text)
    with pytest.raises(InputError) as caught:
        load_scenario(path)
    return [str(problem).removeprefix(f"{path}:") for problem in caught.value.problems]


def test_everything_of_the_format_is_read(tmp_path: Path) -> None:
    scenario, loaded = load_scenario(write(tmp_path, GOOD))
    assert loaded.lab.name == "t"
    assert [spec.stream_names for spec in scenario.traffic] == [("there",), ("back-v4", "back-v6")]
    assert scenario.steady == (Ready((), 30_000_000_000), Loss(("there",), 0, 2_000_000_000))
    kinds = [
        (step.action.name, step.action.label, str(step.action.params), step.at_ns, step.plus_ns)
        for step in scenario.timeline
    ]
    assert kinds == [
        ("power-off", "r1", "graceful", 3_000_000_000, 0),
        ("power-on", "r1", "", 8_000_000_000, 0),
        ("link-cut", "a-r1", "", None, 3_000_000_000),
        ("link-restore", "r1-a", "", None, 0),
        ("power-off", "r2", "cut", None, 0),
    ]
    assert [step.after for step in scenario.timeline[2:]] == [
        Ready(("r1",), 30_000_000_000),
        EcmpPaths("a", "b", 1, 5_000_000_000),
        Wait(1_000_000_000),
    ]
    assert scenario.expect[1] == Expectation(
        "outage",
        ("there", "back"),
        longest_ns=50_000_000,
        quantile=0.95,
        text="outage: there, back, longest: 50ms, quantile: 0.95",
    )
    assert scenario.expect[2].bound == 0.1


@pytest.mark.slow
def test_the_shipped_scenarios_are_sound() -> None:
    folder = Path(__file__).parents[3] / "scenarios"
    shipped = sorted(folder.glob("*.yml"))
    assert shipped
    for path in shipped:
        scenario, _ = load_scenario(path)
        assert scenario.expect


def test_every_problem_is_told_at_once_with_its_place(tmp_path: Path) -> None:
    text = """\
name: bad
topology: t.yml
trafic: []
traffic:
  - {name: there, from: x, to: b, rate: -1}
  - {name: there, from: a, to: b}
  - {name: self, from: a, to: a}
steady:
  - {ready: all}
  - {loss: nothing, for: 2}
timeline:
  - {at: 3s, power-off: r9}
  - {at: 1s, power-on: r2}
  - {at: 4s, power-on: r2, power-off: r1}
  - {power-off: r1}
  - {at: 5s, link-cut: [r1, r2]}
expect:
  - {convergence-los: all, packets: 0}
  - {outage: their, longest: 50ms}
"""
    told = problems(tmp_path, text)
    for wanted in (
        "3:1: unknown key 'trafic' (did you mean 'traffic'?)",
        "5:41: expected more than 0.0, not -1",
        "9:5: ready needs within",
        "10:26: a duration with its unit was expected",
        "12:25: unknown node 'r9' (known: a, b, r1, r2)",
        "13:10: steps are out of order",
        "13:24: r2 has no fence or power-off in force at that moment",
        "14:5: exactly one of",
        "15:5: exactly one of at and after was expected",
        "16:24: there is no link between r1 and r2 (r1 has links to a, b)",
        "18:6: unknown key 'convergence-los' (did you mean 'convergence-loss'?)",
        "19:14: unknown stream 'their'",
        "7:31: stream 'self' goes from a to itself",
    ):
        assert any(line.startswith(wanted) for line in told), (wanted, told)
    # An entry that is wrong by itself is not held against the topology, the others are.
    assert any("unknown node 'x'" in line for line in told) is False


@pytest.mark.parametrize(
    ("line", "wanted"),
    [
        ("{at: 9s, power-off: r1}", "has that fault already, from step 1"),
        ("{at: 9s, link-restore: [a, r1]}", "a-r1 has no link-blackhole or link-cut in force at that moment"),
        ("{after: {ready: r1, within: 1s}, power-on: r1}", "waits for r1 to be ready, which is off"),
        ("{at: 9s, plus: 1s, power-on: r1}", "plus belongs to after"),
        ("{at: 9s, power-on: r1, mode: cut}", "mode does not belong to power-on"),
        ("{at: 9s, power-on: r2}", "there is only r1"),
    ],
)
def test_impossible_steps_are_refused(tmp_path: Path, line: str, wanted: str) -> None:
    text = GOOD[: GOOD.index("timeline:")] + f"timeline:\n  - {{at: 3s, power-off: r1}}\n  - {line}\n"
    told = problems(tmp_path, text)
    assert any(wanted in one for one in told), told


def test_two_links_between_the_same_nodes_must_be_told_apart(tmp_path: Path) -> None:
    topology = TOPOLOGY + "  - [a, r1]\n"
    text = GOOD[: GOOD.index("timeline:")] + "timeline:\n  - {at: 3s, link-cut: [a, r1]}\n"
    path = write(tmp_path, text, topology)
    with pytest.raises(InputError, match="2 links between a and r1") as caught:
        load_scenario(path)
    assert "node:interface" in str(caught.value)
    path.write_text(text.replace("[a, r1]", '["a:eth3", r1]'))
    assert load_scenario(path)[0].timeline[0].action.target == ("a:eth3", "r1")


def test_a_topology_that_is_not_there_is_told_where_it_is_named(tmp_path: Path) -> None:
    path = write(tmp_path, GOOD.replace("t.yml", "tt.yml"))
    with pytest.raises(InputError, match=r"s\.yml:2:11: there is no topology"):
        load_scenario(path)


def test_problems_of_the_topology_come_with_its_own_places(tmp_path: Path) -> None:
    path = write(tmp_path, GOOD, TOPOLOGY.replace("role: host", "rol: host"))
    with pytest.raises(InputError, match=r"t\.yml:3:\d+: "):
        load_scenario(path)


def test_the_scenario_sets_variables_and_the_command_line_wins(tmp_path: Path) -> None:
    topology = TOPOLOGY.replace("name: t\n", "name: t\nvars: {n: 2}\n").replace("r[1-2]", "r[1-{n}]")
    path = write(tmp_path, GOOD.replace("topology: t.yml", "topology: t.yml\nset: {n: 3}"), topology)
    assert len(load_scenario(path)[1].lab.nodes) == 5
    assert len(load_scenario(path, ["n=4"])[1].lab.nodes) == 6


@pytest.mark.parametrize(
    "text", ["", "[]\n", "just words\n", "\0\1", "{a: *b}\n", "name: [\n", "a: 1\na: 2\n", "traffic: 3\n"]
)
def test_what_is_no_scenario_is_refused_and_raises_nothing_else(tmp_path: Path, text: str) -> None:
    with pytest.raises(InputError):
        load_scenario(write(tmp_path, text))


VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.text(max_size=8)
    | st.sampled_from(["all", "3s", "r1", "a", "there"]),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(
                ["name", "from", "to", "at", "after", "ready", "within", "power-off", "loss", "expect", "x"]
            ),
            inner,
            max_size=4,
        )
    ),
    max_leaves=8,
)


@given(
    data=st.dictionaries(
        st.sampled_from(["traffic", "steady", "timeline", "expect", "set", "settle", "name"]), VALUES
    )
)
def test_no_file_makes_the_loader_fall(
    tmp_path_factory: pytest.TempPathFactory, data: dict[str, object]
) -> None:
    folder = tmp_path_factory.mktemp("any")
    base = {"name": "x", "topology": "t.yml", "traffic": [{"name": "there", "from": "a", "to": "b"}]}
    path = write(folder, json.dumps({**base, **data}))
    with contextlib.suppress(InputError):
        load_scenario(path)
