"""Labs of FRR routers as others write them for containerlab: unchanged files come up, route and forward.

The files are our own, in the manner of the public ones that docs/foreign-labs.md lists.
"""

from __future__ import annotations

import os
import time
import uuid
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from labctl import fault
from labctl.events import silent
from labctl.fault.types import PowerMode
from labctl.lab import lifecycle
from labctl.lab.loaded import load_lab_file

if TYPE_CHECKING:
    from collections.abc import Iterator

    from labctl.lab.runtime import Runtime
    from labctl.lab.state import LabDir

pytestmark = [pytest.mark.netns, pytest.mark.skipif(os.geteuid() != 0, reason="needs root")]

TOPOLOGY = """\
name: {name}
mgmt: {{network: custom, ipv4-subnet: 172.30.30.0/24}}
topology:
  defaults: {{kind: linux, group: routers}}
  groups:
    routers:
      image: quay.io/frrouting/frr:${{LABCTL_TEST_NO_VERSION:=10.2.1}}
      binds:
        - daemons:/etc/frr/daemons
        - __clabNodeName__.conf:/etc/frr/frr.conf
    hosts: {{image: ghcr.io/srl-labs/network-multitool}}
  nodes:
    r1: {{mgmt-ipv4: 172.30.30.11}}
    r2: {{ports: ["8080:80"]}}
    left:
      group: hosts
      exec: [ip addr add 10.1.0.2/24 dev eth1, ip route replace default via 10.1.0.1]
    right:
      group: hosts
      exec: [ip addr add 10.2.0.2/24 dev eth1, "sh -c 'ip route replace default via 10.2.0.1'"]
  links:
    - endpoints: ["left:eth1", "r1:eth1"]
    - endpoints: ["r1:eth2", "r2:eth2"]
    - endpoints: ["r2:eth1", "right:eth1"]
"""

ROUTER = """\
hostname r{number}
interface eth1
 ip address 10.{number}.0.1/24
interface eth2
 ip address 10.0.0.{number}/30
 ip ospf network point-to-point
 ip ospf hello-interval 1
 ip ospf dead-interval 4
router ospf
 network 10.0.0.0/8 area 0
"""


@pytest.fixture
def lab(tmp_path: Path) -> Iterator[LabDir]:
    name = f"fl-{uuid.uuid4().hex[:8]}"
    (tmp_path / "daemons").write_text("zebra=yes\nospfd=yes\nbgpd=no\nvtysh_enable=yes\n")
    for number in (1, 2):
        (tmp_path / f"r{number}.conf").write_text(ROUTER.format(number=number))
    path = tmp_path / "topo.yml"  # containerlab asks for no name in particular
    path.write_text(TOPOLOGY.format(name=name))
    root = Path("/run") / f"labctl-{name}"
    made = lifecycle.bring_up(load_lab_file(path), runtime="netns", timeout_s=20, listen=silent, root=root)
    yield made
    lifecycle.take_down(made, silent)


def test_an_unchanged_lab_of_frr_routers_forwards_before_and_after_a_power_cut(lab: LabDir) -> None:
    runtime, _ = lifecycle.open_lab(lab.name, lab.root)
    assert _reached(runtime, lab, 40.0)
    fault.power_off(runtime, lab, "r2", PowerMode.CUT, silent)
    assert not _reached(runtime, lab, 0.0)
    fault.power_on(runtime, lab, "r2", silent)
    assert _reached(runtime, lab, 40.0)


def _reached(runtime: Runtime, lab: LabDir, within_s: float) -> bool:
    end = time.monotonic() + within_s
    while not runtime.exec(lab, "left", ["ping", "-c1", "-W1", "10.2.0.2"]).ok:
        if time.monotonic() > end:
            return False
    return True
