"""What a gateway's agent tells its kernel, and in which order; what it takes over from an earlier one."""

from __future__ import annotations

import os
import signal
from dataclasses import dataclass, field, replace
from ipaddress import ip_network
from typing import TYPE_CHECKING, Any, cast

import pytest

from labctl.overlay.agent.config import AgentConfig
from labctl.overlay.agent.drain import Gate
from labctl.overlay.agent.host import OverlayHost
from labctl.overlay.agent.kernel import ANYCAST_LABEL, Kernel
from labctl.overlay.agent.ports import PortBindings
from labctl.overlay.config.model import GatewaySet
from labctl.overlay.config.model import Host as HostItem
from labctl.overlay.config.topology_section import LabFacts, plan_overlay
from labctl.overlay.simulation.topology import Change, VirtualTopology

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

FACTS = LabFacts.parse(
    {
        "hosts": [
            {"name": "gw1", "kind": "gateway", "tunnel": "10.255.0.1"},
            {"name": "c1", "kind": "compute", "tunnel": "10.255.0.2"},
        ],
        "vms": [{"name": "vm1", "host": "c1", "network": "t1-net"}],
    }
)
WHOLE = VirtualTopology.of(plan_overlay({"networks": 2}, FACTS))


@dataclass
class FakeIp:
    """iproute2 that only remembers."""

    routes: list[str] = field(default_factory=list)
    addresses: list[str] = field(default_factory=list)
    said: list[str] = field(default_factory=list)

    def batch(self, lines: Sequence[str]) -> None:
        self.said += lines

    def show(self, *words: str) -> list[dict[str, Any]]:
        if "route" in words:
            version = 6 if "-6" in words else 4
            return [{"dst": route} for route in self.routes if ip_network(route).version == version]
        marks = {
            one: {"deprecated": True} if ":" in one else {"label": ANYCAST_LABEL} for one in self.addresses
        }
        own = [{"local": "10.255.0.1", "label": "lo"}, {"local": "fd00::1"}]
        return [{"addr_info": [*own, *({"local": one, **mark} for one, mark in marks.items())]}]


class FakeCache:
    """The kernel's cache, and everything else of it that a host asks for."""

    def __init__(self, said: list[str], *, adopted: bool = False) -> None:
        self.adopted = adopted
        self.tunnels: set[bytes] = set()
        self.said = said
        self.guarded: list[int] = []
        self.fixed: dict[bytes, object] = {}

    def entries(self, *, fixed: bool = False) -> list[tuple[bytes, Any]]:
        return list(self.fixed.items()) if fixed else [(b"a flow", None)]

    def inside(self) -> frozenset[Any]:
        return frozenset()

    def bound(self) -> dict[int, object]:
        return {}

    def guard(self, ifindex: int) -> None:
        self.guarded.append(ifindex)

    def bind(self, *_: object, uplink: bool = False) -> None:
        self.said.append(f"bind uplink={uplink}")

    def unbind(self, *_: object) -> None:
        self.said.append("unbind")

    def write(self, rows: Sequence[tuple[bytes, Any]], **_: object) -> None:
        self.fixed.update(rows)
        self.said.append(f"entries {len(rows)}")

    def remove(self, keys: Any, **_: object) -> int:
        return len(list(keys))

    def set_inside(self, *_: object) -> None:
        self.said.append("inside")

    def unset_inside(self, *_: object) -> None:
        self.said.append("not inside")

    def take_tunnels_from(self, hosts: frozenset[bytes], *, only: bool = True) -> None:
        self.tunnels = set(hosts) if only else self.tunnels | hosts
        self.said.append("tunnels")


class FakeEngine:
    """No packets."""

    def __init__(self) -> None:
        self.anew: list[bytes] = []
        self.strangers_killed = 0

    def share_connections(self) -> None:
        pass

    def connection_use(self) -> dict[int, Any]:
        return {}

    def adopt(self, keys: Sequence[bytes], _: int) -> int:
        self.anew += keys
        return len(keys)

    def adopted(self) -> None:
        assert self.anew, "megaflows of an earlier agent may go only after its entries were decided anew"
        self.strangers_killed += 1

    def use(self, *_: object) -> None:
        """Nothing is decided."""

    def revalidate(self, *_: object) -> int:
        return 0


@pytest.fixture
def ip(monkeypatch: pytest.MonkeyPatch) -> FakeIp:
    monkeypatch.setattr("labctl.overlay.agent.host.socket.if_nametoindex", lambda _: 7)
    return FakeIp()


def gateway(ip: FakeIp, folder: Path, *, adopted: bool = False) -> OverlayHost:
    config = AgentConfig("gw1", "gateway", (), "10.255.0.1", uplink="uplink")
    return OverlayHost(
        config=config,
        topology=VirtualTopology(),
        ports=PortBindings(),
        engine=cast("Any", FakeEngine()),
        cache=cast("Any", FakeCache(ip.said, adopted=adopted)),
        channel=cast("Any", None),
        kernel=Kernel(ip),
        gate=Gate(folder / "gate"),
    )


def index(said: list[str], part: str) -> int:
    return next(number for number, line in enumerate(said) if part in line)


def test_entries_come_before_routes_and_the_common_address_last(ip: FakeIp, tmp_path: Path) -> None:
    host = gateway(ip, tmp_path)
    assert host.missing
    host.change(WHOLE, (), 0)
    order = [
        index(ip.said, part)
        for part in ("bind uplink=True", "entries", "route replace", "address replace 198")
    ]
    assert order == sorted(order)
    assert host.missing == ""


def test_without_a_whole_snapshot_nothing_is_attracted(ip: FakeIp, tmp_path: Path) -> None:
    host = gateway(ip, tmp_path)
    host.change(replace(WHOLE, complete=False), (), 0)
    assert not [line for line in ip.said if "route" in line or "198.18" in line]
    assert host.missing


def test_what_an_earlier_agent_left_and_nobody_wants_is_taken_away(ip: FakeIp, tmp_path: Path) -> None:
    ip.routes = ["10.128.0.0/24", "10.99.0.0/24", "fd00:9::/64"]
    ip.addresses = ["198.18.255.9"]
    gateway(ip, tmp_path).change(WHOLE, (), 0)
    assert "route del 10.99.0.0/24 proto 77" in ip.said
    assert "route del fd00:9::/64 proto 77" in ip.said
    assert "address del 198.18.255.9/32 dev lo" in ip.said
    assert not [line for line in ip.said if "route" in line and "10.128.0.0/24" in line]


def test_a_copy_that_may_be_old_takes_nothing_away_from_what_an_earlier_agent_left(
    ip: FakeIp, tmp_path: Path
) -> None:
    ip.routes = ["10.128.0.0/24", "10.99.0.0/24"]
    ip.addresses = ["198.18.255.9"]
    host = gateway(ip, tmp_path, adopted=True)
    host.change(WHOLE, (), 0, fresh=False)
    assert "bind uplink=True" in ip.said, "new flows are decided all the same"
    assert not [line for line in ip.said if "del" in line or "entries" in line]
    assert (host.adopting, host.settled) == (False, False), "what is there is not known: none of it is idle"
    # The same snapshot, and now it is known to be so.
    host.change(WHOLE, (), 0, fresh=True)
    assert "route del 10.99.0.0/24 proto 77" in ip.said
    assert "address del 198.18.255.9/32 dev lo" in ip.said
    assert host.adopting
    host.adopt(10, 0)
    assert host.settled
    assert cast("Any", host)._engine.strangers_killed == 1


def test_tunnels_of_hosts_that_a_copy_does_not_know_are_taken_until_it_is_known_to_be_new(
    ip: FakeIp, tmp_path: Path
) -> None:
    host = gateway(ip, tmp_path, adopted=True)
    cache = cast("Any", host)._cache
    cache.tunnels = {b"a later host"}
    host.change(WHOLE, (), 0, fresh=False)
    assert b"a later host" in cache.tunnels
    assert len(cache.tunnels) == 3
    host.change(WHOLE, (), 0, fresh=True)
    assert b"a later host" not in cache.tunnels
    assert len(cache.tunnels) == 2


def test_a_copy_is_enough_where_there_is_nothing_that_it_could_harm(ip: FakeIp, tmp_path: Path) -> None:
    host = gateway(ip, tmp_path)
    host.change(WHOLE, (), 0, fresh=False)
    assert host.missing == ""


def test_a_common_address_of_ipv6_is_taken_and_is_the_source_of_nothing(ip: FakeIp, tmp_path: Path) -> None:
    facts = LabFacts.parse({"hosts": [{"name": "gw1", "kind": "gateway", "tunnel": "fd00::1"}]})
    ip.addresses = ["2001:2::9"]
    gateway(ip, tmp_path).change(VirtualTopology.of(plan_overlay({"underlay": "ipv6"}, facts)), (), 0)
    assert "address replace 2001:2::ffff:1/128 dev lo nodad preferred_lft 0" in ip.said
    assert [line for line in ip.said if "address del" in line] == ["address del 2001:2::9/128 dev lo"]


def test_the_same_snapshot_again_says_nothing(ip: FakeIp, tmp_path: Path) -> None:
    host = gateway(ip, tmp_path)
    host.change(WHOLE, (), 0)
    ip.said.clear()
    assert host.change(WHOLE, (), 0) == 0
    assert ip.said == []


def test_a_draining_gateway_keeps_all_it_has_and_tells_its_gate(ip: FakeIp, tmp_path: Path) -> None:
    host = gateway(ip, tmp_path)
    host.change(WHOLE, (), 0)
    ip.said.clear()
    gateways = WHOLE.gateways
    assert gateways is not None
    drained, tags = WHOLE.apply([Change(GatewaySet, gateways.name, replace(gateways, draining=("gw1",)))])
    host.change(drained, tags, 0)
    assert (tmp_path / "gate.drain").exists()
    assert not [line for line in ip.said if "del" in line]
    host.change(WHOLE, tags, 0)
    assert not (tmp_path / "gate.drain").exists()


def test_a_gateway_that_is_none_any_more_announces_nothing_and_passes_on_what_comes(
    ip: FakeIp, tmp_path: Path
) -> None:
    host = gateway(ip, tmp_path)
    host.change(WHOLE, (), 0)
    ip.said.clear()
    gone, tags = WHOLE.apply([Change(HostItem, "gw1", None)])
    host.change(gone, tags, 0)
    assert (tmp_path / "gate.drain").exists()
    assert not [line for line in ip.said if "del" in line]
    assert host.missing


def test_the_ports_of_vms_are_closed_until_the_database_knows_them(ip: FakeIp, tmp_path: Path) -> None:
    cache = FakeCache(ip.said)
    config = AgentConfig("c1", "compute", (), "10.255.0.2", ports={"eth3": "vm1", "eth4": "nobodys"})
    host = OverlayHost(
        config=config,
        topology=VirtualTopology(),
        ports=PortBindings(),
        engine=cast("Any", FakeEngine()),
        cache=cast("Any", cache),
        channel=cast("Any", Silent()),
        kernel=Kernel(ip),
        gate=Gate(tmp_path / "gate"),
    )
    assert len(cache.guarded) == 2
    host.change(WHOLE, (), 0)
    assert ip.said.count("bind uplink=False") == 1
    assert host.missing == "no port of the state database for eth4"


class Silent:
    """A channel that nobody listens to."""

    def out_of(self, interface: str, frame: bytes) -> None:
        """Throw it away."""


def test_the_gate_is_woken_when_it_is_there_and_only_for_news(tmp_path: Path) -> None:
    heard: list[int] = []
    before = signal.signal(signal.SIGHUP, lambda number, _: heard.append(number))
    try:
        gate = Gate(tmp_path / "gate")
        assert gate.drain(on=True)
        (tmp_path / "gate.pid").write_text(f"{os.getpid()}\n")
        assert not gate.drain(on=True)
        assert heard == []
        assert gate.drain(on=False)
        assert heard == [signal.SIGHUP]
    finally:
        signal.signal(signal.SIGHUP, before)
