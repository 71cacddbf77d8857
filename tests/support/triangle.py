"""A lab of three hosts, each linked with both others, in a containerlab file written by hand."""

from __future__ import annotations

from typing import TYPE_CHECKING

import labctl

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["ADDRESSES", "NODES", "write_triangle"]

NODES = ("a", "b", "c")

# Interface of each node -> its addresses. a:eth1-b:eth1, b:eth2-c:eth1, c:eth2-a:eth2.
ADDRESSES = {
    ("a", "eth1"): ("10.77.0.0/31", "fd77:0::1/64"),
    ("b", "eth1"): ("10.77.0.1/31", "fd77:0::2/64"),
    ("b", "eth2"): ("10.77.0.2/31", "fd77:1::1/64"),
    ("c", "eth1"): ("10.77.0.3/31", "fd77:1::2/64"),
    ("c", "eth2"): ("10.77.0.4/31", "fd77:2::1/64"),
    ("a", "eth2"): ("10.77.0.5/31", "fd77:2::2/64"),
}

LINKS = ((("a", "eth1"), ("b", "eth1")), (("b", "eth2"), ("c", "eth1")), (("c", "eth2"), ("a", "eth2")))

BOOT = """#!/bin/sh
echo "$LABCTL_NODE boots"
for interface in $LABCTL_INTERFACES; do
    until ip link show dev "$interface" >/dev/null 2>&1; do sleep 0.02; done
done
ip -batch /etc/labctl/ip.batch || exit 1
touch /run/ready
echo "$LABCTL_NODE says this on stderr" >&2
exec sleep infinity
"""

READY = """#!/bin/sh
[ -e /run/ready ] || { echo "no addresses yet"; exit 1; }
"""

STOP = """#!/bin/sh
echo goodbye >/proc/1/fd/1
"""


def write_triangle(folder: Path, name: str, *, boot: str = BOOT) -> Path:
    """Write the file and the nodes' folders; returns the file."""
    lines = [
        f"name: {name}",
        "topology:",
        "  defaults:",
        "    kind: linux",
        f"    image: labctl/host:{labctl.__version__}",
        "    cmd: /etc/labctl/boot",
        "    privileged: false",
        "    network-mode: none",
        '    restart-policy: "no"',
        "    image-pull-policy: Never",
        "    cap-add: [NET_ADMIN, NET_RAW]",
        "    sysctls:",
        "      net.ipv6.conf.all.disable_ipv6: 0",
        "      net.ipv6.conf.default.disable_ipv6: 0",
        "      net.ipv6.conf.default.accept_dad: 0",
        "      net.ipv4.conf.all.ignore_routes_with_linkdown: 1",
        '    labels: {labctl-role: host, labctl-ready: "1"}',
        "  nodes:",
    ]
    for node in NODES:
        _write_node(folder / node / "etc" / "labctl", node, boot)
        interfaces = " ".join(interface for owner, interface in ADDRESSES if owner == node)
        lines += [
            f"    {node}:",
            f"      env: {{LABCTL_NODE: {node}, LABCTL_INTERFACES: {interfaces}}}",
            f'      binds: ["{node}/etc/labctl:/etc/labctl:ro"]',
        ]
    lines.append("  links:")
    for number, ends in enumerate(LINKS):
        lines += ["    - type: veth", "      mtu: 1500", "      endpoints:"]
        for side, (node, interface) in enumerate(ends):
            mac = f"02:77:00:00:{number:02x}:{side:02x}"
            lines.append(f'        - {{node: {node}, interface: {interface}, mac: "{mac}"}}')
    path = folder / f"{name}.clab.yml"
    path.write_text("\n".join(lines) + "\n")
    return path


def _write_node(folder: Path, node: str, boot: str) -> None:
    folder.mkdir(parents=True)
    batch = ["link set dev lo up"]
    for (owner, interface), addresses in ADDRESSES.items():
        if owner == node:
            batch.append(f"link set dev {interface} up")
            batch += [f"address add {address} dev {interface}" for address in addresses]
    (folder / "ip.batch").write_text("\n".join(batch) + "\n")
    for name, text in (("boot", boot), ("ready", READY), ("stop", STOP)):
        (folder / name).write_text(text)
        (folder / name).chmod(0o755)
