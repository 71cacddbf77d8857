"""A scenario on a containerlab file that nobody rendered."""

from __future__ import annotations

import os
import subprocess
import sys
import uuid
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = [pytest.mark.netns, pytest.mark.skipif(os.geteuid() != 0, reason="needs root")]

LAB = """\
name: {name}
topology:
  nodes:
    left:
      kind: linux
      image: alpine:3
      exec: [ip address add 192.0.2.1/25 dev eth1, ip route add 192.0.2.128/25 via 192.0.2.2]
    middle:
      kind: linux
      image: alpine:3
      sysctls: {{net.ipv4.ip_forward: 1}}
      exec: [ip address add 192.0.2.2/25 dev eth1, ip address add 192.0.2.130/25 dev eth2]
    right:
      kind: linux
      image: alpine:3
      exec: [ip address add 192.0.2.129/25 dev eth1, ip route add 192.0.2.0/25 via 192.0.2.130]
  links:
    - endpoints: ["left:eth1", "middle:eth1"]
    - endpoints: ["middle:eth2", "right:eth1"]
"""

SCENARIO = """\
name: foreign
topology: theirs.clab.yml
traffic:
  - {from: left, to: right, name: there, rate: 500, from-address: 192.0.2.1, to-address: 192.0.2.129}
timeline:
  - {at: 0.5s, link-cut: [middle, right]}
  - {after: {wait: 0.5s}, link-restore: [middle, right]}
  - {after: {loss: there, packets: 0, for: 300ms, within: 20s}, power-off: middle}
  - {after: {wait: 0.3s}, power-on: middle}
expect:
  - {loss: there, packets: %d}
"""


def test_losses_on_a_foreign_lab_are_measured(tmp_path: Path) -> None:
    (tmp_path / "theirs.clab.yml").write_text(LAB.format(name=f"fs-{uuid.uuid4().hex[:8]}"))
    scenario = tmp_path / "foreign.yml"
    codes = []
    for packets in (1_000_000, 10):
        scenario.write_text(SCENARIO % packets)
        codes.append(run("run", str(scenario), "--runtime", "netns", "--out", str(tmp_path / str(packets))))
    assert codes == [0, 1]  # the cut alone costs 250 packets


def run(*words: str) -> int:
    """The command's exit code."""
    return subprocess.run([sys.executable, "-m", "labctl", *words], check=False, timeout=120).returncode
