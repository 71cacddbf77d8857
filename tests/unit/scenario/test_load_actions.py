"""Processes killed, gateways drained and removed, commands of the overlay, first replies: what is read."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from acts import act

from labctl.errors import InputError
from labctl.scenario.kinds.conditions.first_reply import FirstReply
from labctl.scenario.kinds.registry import ACTIONS
from labctl.scenario.live import most_specific
from labctl.scenario.load import load_scenario
from labctl.scenario.ping import read_answer

if TYPE_CHECKING:
    from pathlib import Path

TOPOLOGY = """\
name: t
nodes:
  ext1: {role: host}
  p1: {role: router}
  gw[1-2]: {role: overlay-gateway}
  leaf1: {role: router}
  compute1: {role: compute}
  ctl[1-3]: {role: controller}
  vm[1-2]: {role: vm, host: compute1, network: t1-net}
links:
  - [ext1, p1]
  - [p1, "gw[1-2]"]
  - ["gw[1-2]", leaf1]
  - [leaf1, compute1]
  - [leaf1, "ctl[1-3]"]
overlay: {networks: 1}
"""
HEAD = """\
name: s
topology: t.yml
traffic:
  - {name: in, from: ext1, to: vm1}
timeline:
"""


FENCED = "  - {at: 1s, fence: {node: gw1, for: gw2}}\n"


def write(folder: Path, timeline: str, expect: str = "") -> Path:
    (folder / "t.yml").write_text(TOPOLOGY)
    (folder / "s.yml").write_text(HEAD + timeline + expect)
    return folder / "s.yml"


def complaints(folder: Path, timeline: str, expect: str = "") -> str:
    with pytest.raises(InputError) as caught:
        load_scenario(write(folder, timeline, expect))
    return "\n".join(str(problem) for problem in caught.value.problems)


def test_every_new_action_and_the_first_reply_are_read(tmp_path: Path) -> None:
    timeline = """\
  - {at: 1s, kill: {node: compute1, process: agent}}
  - {after: {first-reply: vm1, to: vm2, within: 5s}, gateway-drain: gw1}
  - {at: 9s, gateway-remove: gw1}
  - {at: 10s, gateway-add: gw1}
  - {at: 11s, gateway-undrain: gw1}
  - {at: 12s, overlay: env create dev7 --vms 0}
"""
    scenario, _ = load_scenario(
        write(
            tmp_path, timeline, "expect: [{loss: all, packets: 0, off-path: true}, {loss: in, packets: 1}]\n"
        )
    )
    assert [step.action for step in scenario.timeline] == [
        act("kill", ("compute1",), "agent"),
        act("gateway-drain", ("gw1",)),
        act("gateway-remove", ("gw1",)),
        act("gateway-add", ("gw1",)),
        act("gateway-undrain", ("gw1",)),
        act("overlay", (), "env create dev7 --vms 0"),
    ]
    assert scenario.timeline[1].after == FirstReply("vm1", "vm2", 5_000_000_000)
    assert [expected.off_path for expected in scenario.expect] == [True, False]


@pytest.mark.parametrize(
    ("timeline", "told"),
    [
        ("  - {at: 1s, kill: {node: gw9, process: agent}}\n", "unknown node 'gw9'"),
        ("  - {at: 1s, kill: {node: gw1}}\n", "process"),
        ("  - {at: 1s, kill: gw1}\n", "expected"),
        ("  - {at: 1s, gateway-drain: leaf1}\n", "leaf1 is no gateway of the overlay"),
        ("  - {at: 1s, gateway-undrain: gw1}\n", "gw1 has no gateway-drain in force"),
        ("  - {at: 1s, gateway-add: gw1}\n", "gw1 has no gateway-remove in force"),
        ("  - {at: 1s, overlay: env}\n", "pattern"),
        ("  - {at: 1s, overlay: env craete dev}\n", "s.yml:6:23: no command of the overlay"),
        ("  - {at: 1s, overlay: env craete dev}\n", "did you mean 'env create'?"),
        ("  - {at: 1s, overlay: env create dev --vm 2}\n", "--vm"),
        ("  - {at: 1s, overlay: tenant list}\n", "no command of the overlay"),
        ('  - {at: 1s, overlay: "tenant add \'x"}\n', "No closing quotation"),
        ("  - {at: 1s, fence: gw1}\n", "expected"),
        ("  - {at: 1s, fence: {node: gw1}}\n", "for"),
        ("  - {at: 1s, fence: {node: gw9, for: gw2}}\n", "unknown node 'gw9'"),
        ("  - {at: 1s, fence: {node: gw1, for: gw9}}\n", "unknown node 'gw9'"),
        ("  - {at: 1s, fence: {node: gw1, for: gw1}}\n", "gw1 cannot be fenced for itself"),
        (
            FENCED + "  - {after: {ready: gw1, within: 1s}, power-on: gw1}\n",
            "waits for gw1 to be ready, which is off since step 1",
        ),
        ("  - {after: {first-reply: vm1, within: 1s}, kill: {node: gw1, process: a}}\n", "needs to"),
        ("  - {after: {first-reply: vm1, to: vmx, within: 1s}, kill: {node: gw1, process: a}}\n", "'vmx'"),
    ],
)
def test_what_cannot_be_is_told(tmp_path: Path, timeline: str, told: str) -> None:
    assert told in complaints(tmp_path, timeline)


def test_a_fence_names_who_asks_and_is_taken_back_by_power(tmp_path: Path) -> None:
    timeline = """\
  - {at: 1s, power-off: gw1, mode: freeze}
  - {after: {wait: 0s}, fence: {node: gw1, for: gw2}}
  - {after: {wait: 1s}, power-on: gw1}
"""
    scenario, _ = load_scenario(write(tmp_path, timeline))
    assert scenario.timeline[1].action == act("fence", ("gw1",), "gw2")
    assert scenario.timeline[1].action.undone() == act("power-on", ("gw1",))
    assert str(scenario.timeline[1].action) == "fence gw1 (gw2)"
    assert ACTIONS["fence"].breaks
    assert not scenario.timeline[1].action.traits["silent"]


def test_an_outage_is_never_off_path(tmp_path: Path) -> None:
    step = "  - {at: 1s, kill: {node: gw1, process: agent}}\n"
    assert "off-path" in complaints(tmp_path, step, "expect: [{outage: all, longest: 1s, off-path: true}]\n")


def test_a_kill_is_a_fault_that_nobody_takes_back_and_a_drain_is_one_that_is() -> None:
    assert ACTIONS["kill"].breaks
    assert not ACTIONS["kill"].undo
    assert act("gateway-drain", ("gw1",)).undone() == act("gateway-undrain", ("gw1",))
    assert act("gateway-remove", ("gw1",)).undone() == act("gateway-add", ("gw1",))
    # Peers are not told of any of these: no packet is excused as having been in flight.
    assert all(
        act(kind, ("gw1",), "x").traits["silent"] for kind in ("kill", "gateway-drain", "gateway-remove")
    )


def test_the_first_reply_counts_from_the_first_request() -> None:
    lost_three = b"64 bytes from 10.0.0.1: icmp_seq=4 ttl=62 time=1.50 ms\n"
    assert read_answer(lost_three) == 31_500_000
    assert read_answer(b"3 packets transmitted, 0 received\n") is None


def test_paths_are_those_of_the_longest_prefix_that_matches() -> None:
    routes: list[dict[str, Any]] = [
        {"dst": "default", "dev": "eth9"},
        {"dst": "10.128.0.0/24", "nexthops": [{"dev": "eth1"}, {"dev": "eth2", "flags": ["dead"]}]},
    ]
    assert [hop["dev"] for hop in most_specific(routes)] == ["eth1", "eth2"]
    assert most_specific([]) == []
    assert most_specific([*routes, {"dst": "10.128.0.9", "dev": "eth3"}]) == [routes_host()]


def routes_host() -> dict[str, str]:
    return {"dst": "10.128.0.9", "dev": "eth3"}
