"""A node that boots while its links are still being made: its addresses are those that were planned."""

from __future__ import annotations

import os
import subprocess
from ipaddress import IPv6Address
from pathlib import Path

import pytest

from labctl.load import load_topology
from labctl.render import render

pytestmark = [pytest.mark.netns, pytest.mark.skipif(os.geteuid() != 0, reason="needs root")]

RING = Path(__file__).parents[2] / "topologies" / "ring.yml"
# A link that has its names already, and not yet its MAC; the node boots; then the MAC comes.
LATE_MAC = """
set -e
for interface in eth1 eth2; do
    ip link add "$interface" type veth peer name "far-$interface"
    ip link set dev "far-$interface" up
done
ip -batch "$1"
ip link set dev eth1 address "$2"
ip -6 -brief address show dev eth1 scope link
"""


def test_a_mac_that_comes_after_the_name_makes_the_link_local_address_all_the_same(tmp_path: Path) -> None:
    lab = load_topology(RING, ("size=3",))
    render(lab, tmp_path)
    node = lab.nodes[0]
    mac = next(one.mac for one in node.interfaces if one.name == "eth1")
    batch = next(tmp_path.rglob(f"{node.name}/etc/labctl/ip.batch"))
    words = ["unshare", "--net", "sh", "-c", LATE_MAC, "boot", str(batch), mac]
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert str(_link_local(mac)) in done.stdout


def _link_local(mac: str) -> IPv6Address:
    """RFC 4291, appendix A: modified EUI-64."""
    octets = bytearray.fromhex(mac.replace(":", ""))
    octets[0] ^= 2
    return IPv6Address(b"\xfe\x80" + bytes(6) + bytes(octets[:3]) + b"\xff\xfe" + bytes(octets[3:]))
