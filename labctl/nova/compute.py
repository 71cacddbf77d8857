"""A compute node: the tenants' segments, and on each a virtual machine, which is a network namespace.

``labctl-python -m labctl.nova.compute PLAN.json``; it stays, and its machines live as long as it. No
mounts are needed: a namespace is held by a process that sleeps.
"""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from pathlib import Path
from typing import TypedDict

from labctl.nova.segments import SegmentKind, segment_argv, segment_mtu, try_segments

__all__ = ["ComputePlan", "Machine", "bridge_lines", "machine_lines", "main"]


class Machine(TypedDict):
    """A virtual machine: its segment and addresses; ``port`` is the end of a link to one outside."""

    name: str
    vlan: int
    mac: str
    address: str
    gateway: str
    port: str


class ComputePlan(TypedDict):
    """``interface``: that segments run over."""

    interface: str
    machines: list[Machine]


def bridge_lines(kind: SegmentKind, interface: str, vlan: int) -> list[str]:
    """Lines for ``ip -batch``: a segment and its bridge."""
    return [
        " ".join(segment_argv(kind, interface, vlan)),
        f"link add name br{vlan} type bridge stp_state 0 forward_delay 0 mcast_snooping 0",
        f"link set dev vlan{vlan} master br{vlan} up",
        f"link set dev br{vlan} up",
    ]


def machine_lines(machine: Machine, mtu: int) -> list[str]:
    """Lines for ``ip -batch`` inside the machine."""
    return [
        f"link set dev eth0 address {machine['mac']} mtu {mtu}",
        "link set dev lo up",
        "link set dev eth0 up",
        f"address add {machine['address']} dev eth0",
        f"route add default via {machine['gateway']}",
    ]


def _batch(lines: list[str], pid: int | None = None) -> None:
    enter = [] if pid is None else ["nsenter", f"--target={pid}", "--net", "--"]
    text = "\n".join(lines) + "\n"
    subprocess.run([*enter, "ip", "-batch", "-"], input=text, text=True, check=True)


def _start(machine: Machine, mtu: int) -> subprocess.Popen[bytes]:
    """A namespace of its own with one leg in the bridge."""
    held = subprocess.Popen(
        ["unshare", "--net", "--", "sh", "-c", "echo; exec sleep infinity"],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
    )
    assert held.stdout is not None  # noqa: S101 - for the type checker
    held.stdout.readline()  # it is in its namespace
    leg = f"tap{machine['vlan']}"
    _batch(
        [
            f"link add name {leg} type veth peer name eth0 netns {held.pid}",
            f"link set dev {leg} master br{machine['vlan']} mtu {mtu} up",
        ]
    )
    _batch(machine_lines(machine, mtu), held.pid)
    return held


def main() -> int:
    """Make everything, say so, stay."""
    plan: ComputePlan = json.loads(Path(sys.argv[1]).read_text(encoding="utf-8"))
    kind = try_segments(plan["interface"]).kind
    mtu = segment_mtu(kind, int(Path(f"/sys/class/net/{plan['interface']}/mtu").read_text()))
    vlans = sorted({machine["vlan"] for machine in plan["machines"]})
    _batch([line for vlan in vlans for line in bridge_lines(kind, plan["interface"], vlan)])
    held = []
    for machine in plan["machines"]:
        if machine["port"]:
            _batch([f"link set dev {machine['port']} master br{machine['vlan']} up"])
        else:
            held.append(_start(machine, mtu))
    Path("/run/labctl/machines").write_text(f"{len(plan['machines'])} on {kind}\n", encoding="utf-8")
    signal.sigwait({signal.SIGTERM, signal.SIGINT})
    for process in held:
        process.kill()
    return 0


if __name__ == "__main__":
    sys.exit(main())
