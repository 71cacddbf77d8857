"""Traffic in both directions by one line."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from labctl.errors import InputError
from labctl.scenario.kinds.conditions.loss import Loss
from labctl.scenario.load import load_scenario
from labctl.scenario.plan import make_plan
from labctl.scenario.session import _expectation

if TYPE_CHECKING:
    from pathlib import Path

    from labctl.scenario.plan import Plan

TOPOLOGY = "name: t\nnodes: {a: {role: host}, r: {role: router}, b: {role: host}}\nlinks: [[a, r], [r, b]]\n"


def plan(folder: Path, traffic: str, rest: str = "") -> Plan:
    (folder / "t.yml").write_text(TOPOLOGY)
    (folder / "s.yml").write_text(f"name: s\ntopology: t.yml\ntraffic:\n{traffic}{rest}")
    scenario, loaded = load_scenario(folder / "s.yml")
    return make_plan(scenario, loaded.lab, seed=1)


def told(folder: Path, traffic: str, rest: str = "") -> list[str]:
    with pytest.raises(InputError) as caught:
        plan(folder, traffic, rest)
    return [str(problem).removeprefix(f"{folder}/") for problem in caught.value.problems]


def chosen(made: Plan, index: int) -> list[str]:
    names: list[str] = _expectation(made, index)["streams"]
    return names


PAIR = "  - {name: x, from: a, to: b, rate: 500, flows: 4, both: true}\n"
EXPECT = "expect: [{loss: x, packets: 0}, {loss: x-back, packets: 0}, {loss: all, packets: 0}]\n"


def test_one_line_is_a_stream_in_each_direction(tmp_path: Path) -> None:
    made = plan(tmp_path, PAIR)
    there, back = made.streams
    assert [(one.name, one.source, one.destination) for one in made.streams] == [
        ("x-there", "a", "b"),
        ("x-back", "b", "a"),
    ]
    assert (there.source_address, there.destination_address) == (
        back.destination_address,
        back.source_address,
    )
    assert (back.rate_pps, back.flows) == (500, 4)


def test_its_name_is_both_of_them_and_each_has_one_of_its_own(tmp_path: Path) -> None:
    made = plan(tmp_path, PAIR, "steady: [{loss: x, packets: 0, for: 1s}]\n" + EXPECT)
    assert made.scenario.steady == (Loss(("x-there", "x-back"), 0, 1_000_000_000),)
    assert [chosen(made, index) for index in range(3)] == [
        ["x-there", "x-back"],
        ["x-back"],
        ["x-there", "x-back"],
    ]


def test_with_both_versions_there_are_four(tmp_path: Path) -> None:
    made = plan(tmp_path, "  - {name: x, from: a, to: b, both: true, family: both}\n", EXPECT)
    names = ["x-there-v4", "x-there-v6", "x-back-v4", "x-back-v6"]
    assert [one.name for one in made.streams] == names
    assert [chosen(made, index) for index in range(2)] == [names, names[2:]]


@pytest.mark.parametrize(
    ("traffic", "lines"),
    [
        (PAIR + "  - {name: x-back, from: a, to: b}\n", ["s.yml:5:12: stream 'x-back' is there twice"]),
        (PAIR + "  - {name: x, from: b, to: a}\n", ["s.yml:5:12: stream 'x' is there twice"]),
        ("  - {name: y, from: a, to: b}\n" + PAIR + PAIR, ["s.yml:6:12: stream 'x' is there twice"]),
        ("  - {name: x, from: a, to: a, both: true}\n", ["s.yml:4:28: stream 'x' goes from a to itself"]),
        ("  - {name: x, from: a, to: c, both: true}\n", ["s.yml:4:28: unknown node 'c'"]),
        (
            "  - {name: x, from: a, to: b, proto: icmp, addresses: '10.0.0.1', both: true}\n",
            ["s.yml:4:5: addresses need proto icmp, one family and one direction"],
        ),
    ],
)
def test_what_cannot_be_is_told_once_at_its_line(tmp_path: Path, traffic: str, lines: list[str]) -> None:
    found = told(tmp_path, traffic)
    for line in lines:
        assert any(one.startswith(line) for one in found), found
    assert len({one.partition(":")[2].partition(" ")[0] for one in found}) == len(found)


def test_an_end_that_loses_its_power_ends_both(tmp_path: Path) -> None:
    (line,) = told(tmp_path, PAIR, "timeline: [{at: 1s, power-off: b}]\nexpect: [{loss: x, packets: 0}]\n")
    assert "has an end at b, which loses its power in step 1" in line
