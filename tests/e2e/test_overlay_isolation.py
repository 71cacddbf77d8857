"""Tenants cannot reach each other, nor the underlay: a virtual machine in a whole lab tries every way.

It sends frames as they are, from its own namespace, while everybody listens. What is allowed is sent
at the same time, and must be heard by the same ears; and frames that change a victim's tables when
they are delivered by hand show that it would have mattered.
"""

from __future__ import annotations

import json
import socket
import time
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from forgery import FORGERIES, Party, Scene, forged, honest, token_of, tunnelled
from machine import Machine, machine

from labctl.linux.netns import inside
from labctl.load import load_topology
from labctl.overlay.config.model import RouterPort, VmPort
from labctl.overlay.config.topology_section import LabFacts, plan_overlay
from labctl.overlay.packet import UDP, address_of, parse
from labctl.probe.frames import Capture, Frame, capture, send_frames

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from labctl.model.lab import Lab, NodePlan

pytestmark = [pytest.mark.netns, pytest.mark.slow]

SHIPPED = Path(__file__).parents[2] / "topologies" / "zero-loss-gateway.yml"
LAB = "islab"
SMALL = ("gateways=2", "computes=2", "vms=5", "networks=2")
SENDER, NEIGHBOURS, ROUTED, STRANGERS = (
    "vm1",
    ("vm5", "vm2"),
    ("vm3", "vm4"),
    ("stranger", "dev-vm1", "dev-vm2"),
)
"""The first of each kind lives on the sender's own host, the next on the other one (but for dev-vm1)."""
COMPUTES, GATEWAYS = ("compute1", "compute2"), ("gw1", "gw2")
OUTSIDE, LEAVES, CONTROLLERS = ("ext1", "p1", "p2"), ("leaf1", "leaf2"), ("ctl1", "ctl2", "ctl3")
ALLOWED, BY_HOST = token_of("allowed"), token_of("by-a-host")
TUNNEL_PORT, INNER_PORT = 6677, 4001
PATIENCE_S = 10


@dataclass
class Bed:
    """The lab, who is in it, and the namespaces of all of them."""

    host: Machine
    lab: Lab
    scene: Scene
    spaces: dict[str, Path]

    def run(self, node: str, *argv: str) -> str:
        done = self.host.labctl("exec", LAB, node, "--", *argv)
        assert done.returncode == 0, (node, argv, done.stdout, done.stderr)
        return str(done.stdout)

    def say(self, node: str, target: str, payload: bytes, *, port: int = 9, flows: int = 1) -> None:
        """UDP from a node's own kernel."""

        def send() -> None:
            family = socket.AF_INET6 if ":" in target else socket.AF_INET
            for _ in range(flows):
                with socket.socket(family, socket.SOCK_DGRAM) as sock:
                    sock.sendto(payload, (target, port))

        inside(self.spaces[node], send)

    @property
    def tunnels(self) -> dict[str, str]:
        return {host["name"]: host["tunnel"] for host in self.lab.overlay["hosts"]}


@dataclass
class Heard:
    """Which tokens came to which places, and what the victims remembered before and after."""

    places: dict[str, set[str]] = field(default_factory=dict)
    dropped: int = 0
    before: dict[str, Any] = field(default_factory=dict)
    after: dict[str, Any] = field(default_factory=dict)


@pytest.fixture(scope="module", params=["ipv4", "ipv6"])
def bed(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bed]:
    with machine(tmp_path_factory.mktemp("isolation")) as host:
        sets = (*SMALL, f"underlay={request.param}")
        words = [word for each in sets for word in ("--set", each)]
        up = host.labctl(
            "up", str(SHIPPED), "--name", LAB, "--runtime", "netns", "--timeout", "240", *words, timeout_s=300
        )
        assert up.returncode == 0, up.stderr
        made = host.labctl("overlay", "env", "create", LAB, "dev", "--vms", "2", "--json")
        assert made.returncode == 0, made.stderr
        yield furnish(host, load_topology(SHIPPED, list(sets)), json.loads(made.stdout))
        assert host.labctl("down", LAB).returncode == 0


def furnish(host: Machine, lab: Lab, guests: list[dict[str, str]]) -> Bed:
    proc = Path(f"/proc/{host.pid}/root/proc")
    told = json.loads(host.labctl("status", LAB, "--json").stdout)["nodes"]
    spaces = {node["node"]: proc / str(node["pid"]) / "ns/net" for node in told}
    pids = {node["node"]: node["pid"] for node in told}
    items = plan_overlay(lab.overlay["section"], LabFacts.parse(lab.overlay))
    keys = {item.name: item.key for item in items if isinstance(item, VmPort)}
    parties = {node.name: party(node, keys.get(node.name, 0)) for node in lab.nodes}
    for guest in guests:
        name, where = guest["vm"], guest["host"]
        inner = proc / str(pids[where]) / "root/proc"
        first = (inner.parent / f"run/labctl-agent/vm/{name}/pid").read_text().strip()
        spaces[name] = inner / first / "ns/net"
        links = host.labctl("exec", LAB, where, "--", "ls", "/sys/class/net").stdout.split()
        (key,) = [int(link.removeprefix("lc-vm")) for link in links if link.startswith("lc-vm")]
        parties[name] = Party(name, guest["mac"], *two(guest["addresses"]), key)
    (router,) = [item for item in items if isinstance(item, RouterPort) and item.network == "t1-net1"]
    loopbacks = [
        str(address.ip)
        for name in (*COMPUTES, *GATEWAYS, *LEAVES, *CONTROLLERS)
        for address in (lab.node(name).loopback4, lab.node(name).loopback6)
        if address is not None
    ]
    scene = Scene(
        sender=parties[SENDER],
        router=Party("router", router.mac, *two(map(str, router.addresses))),
        neighbours=tuple(parties[name] for name in NEIGHBOURS),
        routed=tuple(parties[name] for name in ROUTED),
        strangers=tuple(parties[name] for name in STRANGERS),
        outside=parties["ext1"],
        underlay=(*loopbacks, "169.254.254.1", "169.254.254.2", "fd6c:6162:ffff::1", "fd6c:6162:ffff::2"),
        controllers=tuple(str(lab.node(name).loopback4.ip) for name in CONTROLLERS),  # type: ignore[union-attr]
        tunnels=(lab.overlay["anycast"], *(host["tunnel"] for host in lab.overlay["hosts"])),
    )
    return Bed(host, lab, scene, spaces)


def two(addresses: Iterable[str]) -> tuple[str, str]:
    """IPv4 first."""
    four, six = sorted(addresses, key=lambda text: ":" in text)
    return four, six


def party(node: NodePlan, key: int) -> Party:
    four, six = node.loopback4, node.loopback6
    mac = node.interfaces[0].mac
    return Party(node.name, mac, str(four.ip) if four else "", str(six.ip) if six else "", key)


@pytest.fixture(scope="module")
def heard(bed: Bed) -> Heard:
    """All of it, tried once."""
    told = Heard()
    for name in NEIGHBOURS:
        others = (bed.scene.router, *(one for one in bed.scene.neighbours if one.name != name))
        pings = [f"ping -c1 -W2 {address}" for one in others for address in (one.ipv4, one.ipv6)]
        bed.run(name, "sh", "-c", " && ".join(pings))
    # What the datapath has learned to decide by itself must not let others through.
    everybody = (*bed.scene.neighbours, *bed.scene.routed, bed.scene.outside)
    known = [honest(bed.scene, to, b"before", version) for to in everybody for version in (4, 6)]
    send_frames(bed.spaces[SENDER], "eth0", known, rounds=3, rate_pps=100)
    told.before = {name: memory(bed, name) for name in (*NEIGHBOURS, *ROUTED, *STRANGERS)}
    with ExitStack() as stack:
        ears = {
            place: stack.enter_context(capture(space, outgoing=False))
            for place, space in bed.spaces.items()
            if place != SENDER
        }
        for name in FORGERIES:
            send_frames(bed.spaces[SENDER], "eth0", forged(name, bed.scene), rate_pps=2000)
        # Sent last, and heard last.
        say_what_is_allowed(bed)
        listen(bed, ears, told)
        told.dropped = sum(ear.dropped for ear in ears.values())
    told.after = {name: memory(bed, name) for name in told.before}
    return told


def listen(bed: Bed, ears: dict[str, Capture], told: Heard) -> None:
    """Until what was allowed has come everywhere, and for half a second more."""
    deadline = time.monotonic() + PATIENCE_S
    tokens = {token_of(name): name for name in FORGERIES} | {ALLOWED: "allowed", BY_HOST: "by-a-host"}
    wanted = allowed_places()
    while time.monotonic() < deadline:
        for place, ear in ears.items():
            for frame in ear.read():
                for token in tokens:
                    where = arrived(bed, place, frame) if token in frame.data else ""
                    if where:
                        told.places.setdefault(tokens[token], set()).add(where)
        if told.places.get("allowed", set()) >= wanted and deadline > time.monotonic() + 0.5:
            deadline = time.monotonic() + 0.5
        time.sleep(0.05)


def say_what_is_allowed(bed: Bed) -> None:
    """To every place that is listened at, by somebody who may."""
    scene = bed.scene
    own = [
        honest(scene, to, ALLOWED, version) for to in (*scene.neighbours, *scene.routed) for version in (4, 6)
    ]
    own += [honest(scene, scene.outside, ALLOWED, 4, 4000 + number) for number in range(32)]
    send_frames(bed.spaces[SENDER], "eth0", own, rate_pps=2000)
    stranger, one, other = scene.strangers
    bed.say("ext1", stranger.ipv4, ALLOWED)
    bed.say(one.name, other.ipv4, ALLOWED)
    bed.say(other.name, one.ipv4, ALLOWED)
    for source, targets in (("compute1", ("compute2", *GATEWAYS, *CONTROLLERS)), ("compute2", ("compute1",))):
        for target in targets:
            bed.say(source, str(bed.lab.node(target).loopback4.ip), ALLOWED, flows=32)  # type: ignore[union-attr]
    # What a host of the overlay may do, and nobody else: the very bytes that the sender tries.
    tunnel = tunnelled(stranger, scene.router.mac, scene.outside.ipv4, BY_HOST)
    bed.say("compute2", bed.tunnels["compute1"], tunnel, port=TUNNEL_PORT)


def allowed_places() -> set[str]:
    tunnel_ends = {f"{name} lc-vx" for name in COMPUTES}
    return {
        *NEIGHBOURS,
        *ROUTED,
        *STRANGERS,
        *OUTSIDE,
        *LEAVES,
        *CONTROLLERS,
        *COMPUTES,
        *GATEWAYS,
        *tunnel_ends,
    }


def arrived(bed: Bed, place: str, frame: Frame) -> str:
    """Where a frame with a token has come to; empty where it does no harm: on its way to be dropped."""
    if place not in (*COMPUTES, *GATEWAYS, *LEAVES):
        return place
    if frame.interface == "lc-vx":
        # A gateway takes out of their tunnel packets that claim to be for the outside.
        harmless = place in GATEWAYS and parse(frame.data).dport != INNER_PORT
        return "" if harmless else f"{place} lc-vx"
    underlay = {port.name for port in bed.lab.node(place).interfaces if not is_guest(bed.lab, port.peer.node)}
    if frame.interface not in underlay or is_in_tunnel(bed, frame.data):
        return ""
    return place


def is_guest(lab: Lab, node: str) -> bool:
    return lab.node(node).role == "vm"


def is_in_tunnel(bed: Bed, frame: bytes) -> bool:
    """Whether it is what the sender's own host has put into a tunnel: packets in the sender's name."""
    outer = parse(frame)
    if outer.proto != UDP or outer.dport != TUNNEL_PORT:
        return False
    inner = parse(frame[outer.l4 + 16 :])
    honest_ends = {bed.scene.sender.ipv4, bed.scene.sender.ipv6, bed.scene.sender.link_local}
    return str(address_of(outer.src)) in bed.scene.tunnels and str(address_of(inner.src)) in honest_ends


def memory(bed: Bed, name: str) -> dict[str, Any]:
    """What a machine has been told: neighbours, addresses, routers, name servers."""
    asked = ["ip -json neigh show", "ip -json address show dev eth0"]
    asked += [f"ip -json {version} route show default" for version in ("-4", "-6")]
    said = bed.run(name, "sh", "-c", "; echo --; ".join([*asked, "cat /etc/resolv.conf"])).split("--\n")
    # An empty list may be no word at all.
    told = [json.loads(part.strip() or "[]") for part in said[: len(asked)]]
    return {
        "neighbours": {one["dst"]: one["lladdr"] for one in told[0] if "lladdr" in one},
        "addresses": sorted(one["local"] for one in told[1][0]["addr_info"]),
        "mtu": told[1][0]["mtu"],
        "routers": [route.get("gateway") for route in (*told[2], *told[3])],
        "names": said[len(asked) :],
    }


def test_what_is_allowed_is_heard_everywhere(heard: Heard) -> None:
    assert allowed_places() - heard.places["allowed"] == set()
    assert heard.dropped == 0


def test_a_tunnel_of_a_host_does_reach_the_machine_that_it_names(heard: Heard) -> None:
    assert "stranger" in heard.places["by-a-host"]


@pytest.mark.parametrize("name", FORGERIES)
def test_nothing_arrives_of(heard: Heard, name: str) -> None:
    assert heard.places.get(name, set()) == set()


def test_no_machine_has_learned_anything(bed: Bed, heard: Heard) -> None:
    scene = bed.scene
    everybody = (scene.sender, scene.router, *scene.neighbours)
    true = {address: one.mac for one in everybody for address in (one.ipv4, one.ipv6, one.link_local)}
    for name, before in heard.before.items():
        after = heard.after[name]
        assert {**before, "neighbours": 0} == {**after, "neighbours": 0}
        assert before["neighbours"].items() <= after["neighbours"].items()
        if name in NEIGHBOURS:
            assert after["neighbours"].items() <= true.items()
            assert scene.router.ipv4 in before["neighbours"]


def test_delivered_by_hand_the_same_frames_do_change_a_table(bed: Bed, heard: Heard) -> None:
    victim = NEIGHBOURS[0]
    (port,) = [one.name for one in bed.lab.node("compute1").interfaces if one.peer.node == victim]
    for name in ("gratuitous-arp", "neighbour-advertisement", "router-advertisement"):
        send_frames(bed.spaces["compute1"], port, forged(name, bed.scene), rate_pps=2000)
    deadline = time.monotonic() + PATIENCE_S
    wrong = {bed.scene.router.ipv4, bed.scene.router.link_local}
    while time.monotonic() < deadline:
        now = memory(bed, victim)
        fooled = {one for one in wrong if now["neighbours"].get(one) == bed.scene.sender.mac}
        if fooled == wrong and bed.scene.sender.link_local in now["routers"]:
            return
        time.sleep(0.2)
    pytest.fail(f"nothing of it was believed: {now}")
