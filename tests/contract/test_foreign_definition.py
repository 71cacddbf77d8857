"""A containerlab file as others write them runs on the embedded runtime, without engine or images."""

from __future__ import annotations

import os
import time
import uuid
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from labctl import fault
from labctl.errors import HostError, NodeError
from labctl.events import silent
from labctl.fault.types import PowerMode
from labctl.lab import lifecycle
from labctl.lab.loaded import load_lab_file

if TYPE_CHECKING:
    from collections.abc import Callable

    from labctl.lab.state import LabDir


pytestmark = [pytest.mark.netns, pytest.mark.skipif(os.geteuid() != 0, reason="needs root")]

BRIDGED = """
topology:
  nodes:
    pc1:
      kind: linux
      image: alpine:3
      exec: [ip addr add 192.168.1.1/24 dev eth1]
    pc2:
      kind: linux
      image: ghcr.io/srl-labs/network-multitool:latest
      exec: [ip addr add 192.168.1.2/24 dev eth1]
    sw: {kind: bridge}
  links:
    - endpoints: ["pc1:eth1", "sw:p1"]
    - endpoints: ["pc2:eth1", "sw:p2"]
"""


def _up(folder: Path, text: str) -> LabDir:
    name = f"fd-{uuid.uuid4().hex[:8]}"
    path = folder / "foreign.clab.yml"
    path.write_text(f"name: {name}\n{text}")
    root = Path("/run") / f"labctl-{name}"
    return lifecycle.bring_up(load_lab_file(path), runtime="netns", timeout_s=20, listen=silent, root=root)


def test_hosts_on_a_bridge_meet_and_meet_again_after_power_cycles(tmp_path: Path) -> None:
    lab = _up(tmp_path, BRIDGED)
    try:
        runtime, _ = lifecycle.open_lab(lab.name, lab.root)
        ping = ["ping", "-c1", "-W1", "192.168.1.2"]
        assert _within(3.0, lambda: runtime.exec(lab, "pc1", ping).ok)
        for node in ("pc1", "sw"):
            fault.power_off(runtime, lab, node, PowerMode.CUT, silent)
            fault.power_on(runtime, lab, node, silent)
            assert _within(3.0, lambda: runtime.exec(lab, "pc1", ping).ok), node
    finally:
        lifecycle.take_down(lab, silent)


def test_a_command_under_exec_that_fails_is_told_and_takes_the_lab_down(tmp_path: Path) -> None:
    with pytest.raises(
        NodeError, match=r"pc1: 'ip addr add nonsense' of its `exec` ended with 1: .*nonsense"
    ):
        _up(tmp_path, BRIDGED.replace("192.168.1.1/24 dev eth1", "nonsense"))


def test_a_command_that_fails_at_power_on_is_told(tmp_path: Path) -> None:
    once = "sh -c 'test ! -e /shared/mark && touch /shared/mark && ip addr add 192.168.1.1/24 dev eth1'"
    (tmp_path / "shared").mkdir()
    text = BRIDGED.replace(
        "[ip addr add 192.168.1.1/24 dev eth1]", f'["{once}"]\n      binds: [shared:/shared]'
    )
    lab = _up(tmp_path, text)
    try:
        runtime, _ = lifecycle.open_lab(lab.name, lab.root)
        fault.power_off(runtime, lab, "pc1", PowerMode.CUT, silent)
        with pytest.raises(NodeError, match=r"pc1: .* of its `exec` ended with 1"):
            fault.power_on(runtime, lab, "pc1", silent)
        assert runtime.exec(lab, "pc1", ["cat", "/proc/sys/net/ipv4/ip_forward"]).stdout == b"1\n"
    finally:
        lifecycle.take_down(lab, silent)


def test_an_image_whose_program_is_not_known_is_refused_by_name(tmp_path: Path) -> None:
    with pytest.raises(HostError, match=r"node pc1: what image quay\.io/some/daemon starts by itself"):
        _up(tmp_path, BRIDGED.replace("alpine:3", "quay.io/some/daemon"))


def _within(seconds: float, holds: Callable[[], bool]) -> bool:
    end = time.monotonic() + seconds
    while not holds():
        if time.monotonic() > end:
            return False
    return True
