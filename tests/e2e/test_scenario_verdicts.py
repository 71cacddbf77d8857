"""Every verdict on the real thing: labs of FRR routers on the embedded runtime, real traffic, real cuts."""

from __future__ import annotations

import json
import signal
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from machine import Machine, machine

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = [pytest.mark.netns, pytest.mark.slow]

REPOSITORY = Path(__file__).parents[2]

# Two ways from a to b, and a router that nobody's packets need.
TOPOLOGY = """
name: verdicts
vars: {gateways: 2}
nodes:
  a: {role: host}
  r1: {role: router}
  gw[1-{gateways}]: {role: gateway}
  leaf1: {role: router}
  b: {role: host}
  aside: {role: router}
links:
  - [a, r1]
  - [r1, "gw[1-{gateways}]"]
  - ["gw[1-{gateways}]", leaf1]
  - [leaf1, b]
  - [r1, aside]
"""

SCENARIO = """
name: NAME
topology: topology.yml
traffic:
  - {name: there, from: a, to: b, rate: 2000, flows: 32}
  - {name: back, from: b, to: a, rate: 2000, flows: 32}
steady:
  - {ready: all, within: 30s}
  - {loss: all, packets: 0, for: 1s, within: 10s}
timeline:
  - {at: 1s, power-off: VICTIM}
  - {after: {wait: 1500ms}, power-on: VICTIM}
settle: 500ms
expect:
  - {convergence-loss: all, packets: 0}
  - {outage: all, longest: 80ms}
"""


@pytest.fixture
def lab(tmp_path: Path) -> Iterator[Machine]:
    (tmp_path / "topology.yml").write_text(TOPOLOGY)
    with machine(tmp_path) as made:
        before = made.census()
        yield made
        assert made.settled(before) == before, "something was left behind"


def carry_out(
    lab: Machine, victim: str, *words: str, scenario: str = SCENARIO
) -> tuple[int, dict[str, Any], str]:
    name = f"cut-{victim}"
    text = scenario.replace("NAME", name).replace("VICTIM", victim)
    (lab.cwd / "scenario.yml").write_text(text)
    done = lab.labctl("run", "scenario.yml", "--runtime", "netns", "--out", "out", *words)
    result = json.loads((lab.cwd / "out" / "result.json").read_text())
    assert result["exit_code"] == done.returncode, done.stderr
    return done.returncode, result, done.stderr


def test_pass_when_another_gateway_takes_over(lab: Machine) -> None:
    code, result, said = carry_out(lab, "gw1")
    assert (code, result["verdict"]) == (0, "PASS"), said
    run = result["runs"][0]
    assert run["faults"][0]["crossed"] > 0
    for stream in run["streams"]:
        assert stream["sent"] > 5000
        assert stream["lost"] == stream["in_flight"] + stream["convergence_loss"]
        assert stream["convergence_loss"] == 0
    assert not (lab.cwd / "out" / "logs").exists()
    for name in ("journal.jsonl", "report.html", "junit.xml", "summary.md"):
        assert (lab.cwd / "out" / name).stat().st_size > 0
    again = lab.labctl("report", "out", "--json")
    assert again.returncode == 0
    assert json.loads(again.stdout) == [result], "the report from the journal alone is another one"


def test_fail_when_nobody_can_take_over(lab: Machine) -> None:
    code, result, said = carry_out(lab, "gw1", "--set", "gateways=1")
    assert (code, result["verdict"]) == (1, "FAIL"), said
    streams = {stream["name"]: stream for stream in result["runs"][0]["streams"]}
    # Cut for one and a half seconds at 2,000 packets a second; and the routing has to come back.
    for stream in streams.values():
        assert stream["convergence_loss"] > 3000
        assert stream["longest_outage_ns"] > 1_500_000_000
        assert stream["unexplained"] == 0
        assert stream["flows_hit"] == 32
    assert "convergence-loss" in result["reasons"][0]
    assert {path.name for path in (lab.cwd / "out" / "logs").iterdir()} >= {"r1.log", "gw1.log", "leaf1.log"}


def test_inconclusive_when_no_flow_crosses_the_victim(lab: Machine) -> None:
    code, result, said = carry_out(lab, "aside")
    assert (code, result["verdict"]) == (3, "INCONCLUSIVE"), said
    assert result["runs"][0]["faults"][0]["null"]
    assert "no flow crossed the victim" in result["reasons"][0]
    assert result["failovers"]["trials"] == 0


def test_error_when_a_node_never_gets_ready(lab: Machine) -> None:
    broken = TOPOLOGY.replace(
        "aside: {role: router}",
        'aside: {role: router, asn: 65001, vars: {frr: "router bgp 65001\\n bgp shutdown\\n"}}',
    )
    (lab.cwd / "topology.yml").write_text(broken)
    code, result, said = carry_out(lab, "gw1", "--timeout", "5")
    assert (code, result["verdict"]) == (2, "ERROR"), said
    assert "aside" in result["reasons"][0]


def test_interrupted_heals_and_takes_the_lab_down(lab: Machine) -> None:
    (lab.cwd / "scenario.yml").write_text(SCENARIO.replace("NAME", "stopped").replace("VICTIM", "gw1"))
    running = lab.start("run", "scenario.yml", "--runtime", "netns", "--out", "out")
    journal = lab.cwd / "out" / "journal.jsonl"
    until = time.monotonic() + 60
    while not (journal.exists() and '"action.done"' in journal.read_text()):
        assert time.monotonic() < until, "the first fault never came"
        assert running.poll() is None
        time.sleep(0.05)
    lab.kill(running, signal.SIGTERM)
    assert running.wait(60) == 130
    kinds = [json.loads(line)["kind"] for line in journal.read_text().splitlines()]
    assert (
        kinds.index("heal.done")
        < kinds.index("tally")
        < kinds.index("run.interrupted")
        < kinds.index("lab.down")
    )
    result = json.loads((lab.cwd / "out" / "result.json").read_text())
    assert result["verdict"] == "INTERRUPTED"
    assert result["runs"][0]["streams"][0]["sent"] > 0


def test_a_run_holds_its_lab_and_a_forced_change_makes_it_an_error(lab: Machine) -> None:
    text = SCENARIO.replace("NAME", "held").replace("VICTIM", "gw1").replace("settle: 500ms", "settle: 8s")
    (lab.cwd / "scenario.yml").write_text(text)
    running = lab.start("run", "scenario.yml", "--runtime", "netns", "--out", "out", "--keep")
    journal = lab.cwd / "out" / "journal.jsonl"
    until = time.monotonic() + 60
    while not (journal.exists() and '"timeline.started"' in journal.read_text()):
        assert time.monotonic() < until, "the timeline never started"
        time.sleep(0.05)
    for words in (
        ("power", "off", "verdicts", "aside"),
        ("link", "cut", "verdicts", "r1", "aside"),
        ("down", "verdicts"),
        ("run", "scenario.yml", "--runtime", "netns", "--out", "other"),
    ):
        refused = lab.labctl(*words)
        assert (refused.returncode, refused.stdout) == (2, "")
        (line,) = refused.stderr.splitlines()
        assert "lab 'verdicts' is in use by a run: scenario held (process " in line
    assert not (lab.cwd / "other").exists()
    assert lab.labctl("power", "off", "verdicts", "aside", "--force").returncode == 0
    assert running.wait(60) == 2
    result = json.loads((lab.cwd / "out" / "result.json").read_text())
    assert result["verdict"] == "ERROR"
    assert "power-off aside" in result["reasons"][0]
    # The lab was kept, and a node of it is off: nothing is run on it.
    again = lab.labctl("run", "scenario.yml", "--runtime", "netns", "--out", "other")
    assert again.returncode == 2
    (line,) = again.stderr.splitlines()
    assert "aside has no power: labctl power on verdicts aside" in line
    assert not (lab.cwd / "other").exists()
    assert lab.labctl("down", "verdicts").returncode == 0
    assert not lab.run("ls", "/run/labctl-runs").stdout
