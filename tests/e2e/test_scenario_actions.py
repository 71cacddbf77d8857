"""Actions on the real thing: an agent killed, a gateway drained and removed, a gateway gone silent."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
from ensemble import JAR
from machine import Machine, machine

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

pytestmark = [pytest.mark.netns, pytest.mark.slow]

OVERLAY = """\
name: actions
nodes:
  ext1: {role: host}
  p1: {role: router, vars: {bgp_default: true}}
  gw[1-2]: {role: overlay-gateway}
  leaf1: {role: router}
  compute1: {role: compute}
  ctl1: {role: controller}
  vm[1-2]: {role: vm, host: compute1, network: t1-net}
links:
  - [ext1, p1]
  - [p1, "gw[1-2]"]
  - ["gw[1-2]", leaf1]
  - [leaf1, compute1]
  - [leaf1, ctl1]
overlay: {networks: 1}
"""
BY_COMMAND = """\
name: by-command
topology: overlay.yml
traffic:
  - {name: in,  from: ext1, to: vm1, rate: 400, flows: 16, family: both}
  - {name: out, from: vm1, to: ext1, rate: 400, flows: 16, family: both}
steady:
  - {ready: all, within: 60s}
  - {loss: all, packets: 0, for: 1s, within: 20s}
timeline:
  - {at: 1s, kill: {node: compute1, process: agent}}
  - {after: {first-reply: vm2, to: vm1, within: 20s}, plus: 1s, gateway-drain: gw1}
  - {after: {wait: 2s}, gateway-remove: gw1}
  - {after: {wait: 1s}, overlay: env create dev --vms 0}
settle: 1s
expect:
  - {loss: all, packets: 0}
"""
PLAIN = """\
name: silence
nodes:
  a: {role: host}
  r1: {role: router, vars: {fast_detect: true}}
  gw[1-2]: {role: gateway, vars: {fast_detect: true}}
  leaf1: {role: router, vars: {fast_detect: true}}
  b: {role: host}
links:
  - [a, r1]
  - [r1, "gw[1-2]"]
  - ["gw[1-2]", leaf1]
  - [leaf1, b]
"""
SPACING_S, LONGEST_S = 16 / 1000, 0.5
SILENCE = """\
name: silence
topology: plain.yml
traffic:
  - {name: there, from: a, to: b, rate: 1000, flows: 16}
  - {name: back,  from: b, to: a, rate: 1000, flows: 16}
steady:
  - {ready: all, within: 60s}
  - {loss: all, packets: 0, for: 1s, within: 20s}
timeline:
  - {at: 1s, node-blackhole: gw1}
  - {after: {wait: 4s}, node-restore: gw1}
  - {after: {ready: gw1, within: 30s}, plus: 1s, link-blackhole: [r1, gw2]}
settle: 4s
expect:
  # BGP alone would take its hold time, 3 s. On a busy machine a tick may be late.
  - {outage: all, longest: 500ms}
"""


@pytest.fixture
def host(tmp_path: Path) -> Iterator[Machine]:
    with machine(tmp_path) as one:
        yield one


def play(host: Machine, **files: str) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """Run ``scenario`` over the other files; the result and the journal."""
    for name, text in files.items():
        (host.cwd / f"{name}.yml").write_text(text)
    host.labctl("run", "scenario.yml", "--runtime", "netns", "--out", "out")
    journal = [json.loads(line) for line in (host.cwd / "out/journal.jsonl").read_text().splitlines()]
    return json.loads((host.cwd / "out/result.json").read_text()), journal


@pytest.mark.skipif(not JAR.exists(), reason="no ZooKeeper here (package zookeeper)")
def test_an_agent_is_killed_and_gateways_go_by_command_and_no_packet_is_lost(host: Machine) -> None:
    result, journal = play(host, overlay=OVERLAY, scenario=BY_COMMAND)
    done = {
        event["data"]["action"]: event["data"]["detail"]
        for event in journal
        if event["kind"] == "action.done"
    }
    assert list(done) == ["kill", "gateway-drain", "gateway-remove", "overlay"]
    assert done["kill"]["killed"] == 1
    assert done["kill"]["back_ms"] > 0
    assert done["overlay"]["command"] == "overlay env create actions dev --vms 0"
    answers = [
        event["data"]["measured"]["answer_ns"]
        for event in journal
        if event["kind"] == "condition.met" and "first-reply" in event["data"]["condition"]
    ]
    assert len(answers) == 1
    assert answers[0] > 0
    healed = [event["data"]["action"] for event in journal if event["kind"] == "heal.done"]
    assert healed == ["gateway-add", "gateway-undrain"]
    # A busy machine may hold the generator back, which leaves it open: but nothing that left is lost.
    assert result["verdict"] in ("PASS", "INCONCLUSIVE"), result["reasons"]
    streams = result["runs"][0]["streams"]
    assert sum(stream["lost"] for stream in streams) == 0
    assert all(stream["sent"] > 0 for stream in streams)


def test_the_fast_failure_detector_finds_a_silent_gateway_and_a_silent_link_before_bgp_does(
    host: Machine,
) -> None:
    result, _ = play(host, plain=PLAIN, scenario=SILENCE)
    hit = [fault for fault in result["runs"][0]["faults"] if fault["breaks"]]
    assert [fault["crossed"] > 0 for fault in hit] == [True, True]
    # Something was lost: it is a real silence.
    assert all(fault["convergence_loss"] > 0 for fault in hit)
    # Each flow lost less than BGP's hold time would cost it. What the return of the gateway costs is told
    # apart (reversion loss) and is not this test's: see the known limit in docs/roles.md.
    facts = result["runs"][0]["facts"]
    lost = [fact["packets"] for fact in facts if fact["loss_class"] == "convergence"]
    assert lost
    assert max(lost) * SPACING_S < LONGEST_S
