"""Tenants' segments: 802.1Q where the kernel makes one, else VXLAN; every part of the lab chooses alike."""

from __future__ import annotations

import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from labctl.nova.compute import bridge_lines
from labctl.nova.segments import (
    SegmentKind,
    main,
    segment_argv,
    segment_lines,
    segment_mtu,
    try_segments,
)

if TYPE_CHECKING:
    from collections.abc import Sequence


class Kernel:
    """Stands for ``ip``: makes VLAN interfaces, or says why not; everything else works."""

    def __init__(self, refusal: str = "") -> None:
        self.refusal = refusal
        self.commands: list[str] = []
        self.batches: list[str] = []

    def __call__(self, argv: Sequence[str], **options: object) -> subprocess.CompletedProcess[str]:
        self.commands.append(" ".join(argv))
        if "input" in options:
            self.batches.append(str(options["input"]))
        refused = self.refusal if "vlan" in argv else ""
        return subprocess.CompletedProcess(argv, 2 if refused else 0, "", refused)


@pytest.fixture
def kernel(monkeypatch: pytest.MonkeyPatch) -> Kernel:
    one = Kernel()
    monkeypatch.setattr(subprocess, "run", one)
    return one


def test_a_kernel_with_802_1q_gets_vlans_and_the_trial_leaves_nothing(kernel: Kernel) -> None:
    trial = try_segments("eth2")
    assert (trial.kind, trial.reason) == (SegmentKind.VLAN, "this kernel has 802.1Q")
    assert kernel.commands == [
        "ip link add link eth2 name labctl-trial type vlan id 4094",
        "ip link delete labctl-trial",
    ]


@pytest.mark.parametrize(
    ("said", "told"),
    [
        ("noise\nError: Unknown device type.\n", "Error: Unknown device type."),
        ("", "this kernel makes no VLAN interface"),
    ],
)
def test_a_kernel_without_it_gets_vxlan_and_its_own_words_are_kept(
    kernel: Kernel, monkeypatch: pytest.MonkeyPatch, said: str, told: str
) -> None:
    kernel.refusal = said or " "
    trial = try_segments("eth2")
    assert trial.kind is SegmentKind.VXLAN
    assert told in trial.reason
    assert kernel.commands == ["ip link add link eth2 name labctl-trial type vlan id 4094"]


def test_a_tenants_vlan_is_a_tagged_interface_on_the_wire_with_the_tenants_number() -> None:
    words = segment_argv(SegmentKind.VLAN, "eth2", 101)
    assert " ".join(words) == "link add link eth2 name vlan101 type vlan id 101"


def test_segments_of_either_kind_have_the_same_names_so_that_all_else_is_alike() -> None:
    vlan, vxlan = (bridge_lines(kind, "eth1", 101) for kind in SegmentKind)
    assert vlan[1:] == vxlan[1:]
    assert "name vlan101 type vlan id 101" in vlan[0]
    assert "name vlan101 type vxlan id 101" in vxlan[0]


def test_a_vlan_takes_nothing_of_the_wires_packets_and_vxlan_its_headers() -> None:
    assert segment_mtu(SegmentKind.VLAN, 1500) == 1500
    assert segment_mtu(SegmentKind.VXLAN, 1500) == 1450


def test_a_router_gets_every_segment_and_each_is_up() -> None:
    lines = segment_lines(SegmentKind.VLAN, "eth2", range(101, 103))
    assert lines == [
        "link add link eth2 name vlan101 type vlan id 101",
        "link add link eth2 name vlan102 type vlan id 102",
        "link set dev vlan101 up",
        "link set dev vlan102 up",
    ]


def test_the_program_makes_both_ends_of_the_range_and_says_which_kind_it_is(
    kernel: Kernel, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "argv", ["segments", "eth2", "101", "103"])
    assert main() == 0
    (batch,) = kernel.batches
    assert batch.count(" type vlan ") == 3
    assert "vlan103" in batch
    assert capsys.readouterr().out == "segments: 802.1Q: this kernel has 802.1Q\n"
