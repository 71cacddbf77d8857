"""Former names of keys are still read, and each one is told of with its place."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from labctl.cli.run import Request
from labctl.cli.run import run as run_scenarios
from labctl.cli.validate import validate
from labctl.errors import HostError, InputError
from labctl.scenario.kinds.conditions.ecmp_paths import EcmpPaths
from labctl.scenario.kinds.conditions.first_reply import FirstReply
from labctl.scenario.kinds.conditions.wait import Wait
from labctl.scenario.load import load_scenario

if TYPE_CHECKING:
    from pathlib import Path

TOPOLOGY = """name: former
nodes:
  a: {role: host}
  r1: {role: router}
  b: {role: host}
links: [[a, r1], [r1, b]]
"""

SCENARIO = """name: former
topology: t.yml
traffic:
  - {name: in, from: a, to: b}
steady:
  - {width: r1, to: b, paths: 1, within: 1s}
timeline:
  - {after: {delay: 1s}, power-off: r1}
  - after:
      first-answer: a
      to: b
      within: 1s
    power-on: r1
expect:
  - {repair-loss: all, packets: 0, aside: true}
"""


@pytest.fixture
def scenario(tmp_path: Path) -> Path:
    (tmp_path / "t.yml").write_text(TOPOLOGY)
    path = tmp_path / "s.yml"
    path.write_text(SCENARIO)
    return path


def test_former_keys_are_read_as_the_current_ones(scenario: Path) -> None:
    found, _ = load_scenario(scenario)
    assert found.steady == (EcmpPaths("r1", "b", 1, 1_000_000_000),)
    assert [step.after for step in found.timeline] == [
        Wait(1_000_000_000),
        FirstReply("a", "b", 1_000_000_000),
    ]
    assert [(expected.kind, expected.off_path) for expected in found.expect] == [("convergence-loss", True)]


def test_each_former_key_is_told_of_with_its_place_and_its_new_name(scenario: Path) -> None:
    found, _ = load_scenario(scenario)
    told = sorted(str(warning).removeprefix(f"{scenario}:") for warning in found.warnings)
    assert told == sorted(
        [
            "6:6: width is called ecmp-paths now: 0.3 will refuse the old name",
            "8:14: delay is called wait now: 0.3 will refuse the old name",
            "10:7: first-answer is called first-reply now: 0.3 will refuse the old name",
            "15:6: repair-loss is called convergence-loss now: 0.3 will refuse the old name",
            "15:36: aside is called off-path now: 0.3 will refuse the old name",
        ]
    )


def test_a_problem_under_a_former_key_stands_where_it_was_written(scenario: Path) -> None:
    scenario.write_text(SCENARIO.replace("repair-loss: all", "repair-loss: [in, uot]"))
    with pytest.raises(InputError) as caught:
        load_scenario(scenario)
    assert str(caught.value).startswith(f"{scenario}:15:19: unknown stream 'uot'")


def test_both_names_in_one_entry_are_refused(scenario: Path) -> None:
    scenario.write_text(SCENARIO.replace("aside: true", "aside: true, off-path: false"))
    with pytest.raises(InputError, match="aside is the former name of off-path, which is there too"):
        load_scenario(scenario)


def test_current_keys_bring_no_warning(scenario: Path) -> None:
    text = SCENARIO
    for old, new in {
        "width": "ecmp-paths",
        "delay": "wait",
        "first-answer": "first-reply",
        "repair-loss": "convergence-loss",
        "aside": "off-path",
    }.items():
        text = text.replace(f"{old}:", f"{new}:")
    scenario.write_text(text)
    assert load_scenario(scenario)[0].warnings == ()


@pytest.mark.parametrize("section", ["steady: 7", "timeline: [7, {after: 7}]", "expect: {aside: 1}", "[]"])
def test_a_section_of_another_shape_is_left_to_the_schema(scenario: Path, section: str) -> None:
    scenario.write_text(f"{section}\n")
    with pytest.raises(InputError):
        load_scenario(scenario)


def test_validate_and_run_warn_on_stderr(
    scenario: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    validate([scenario])
    assert f"warning: {scenario}:6:6: width is called ecmp-paths now" in capsys.readouterr().err
    monkeypatch.setattr("os.geteuid", lambda: 1000)
    with pytest.raises(HostError):
        run_scenarios([scenario], Request())
    assert f"warning: {scenario}:15:6: repair-loss" in capsys.readouterr().err
