"""The ``overlay:`` section and its nodes: virtual machines linked to their hosts, all of it planned.

A role says by its var ``overlay`` what its nodes are to the overlay: ``compute``, ``gateway``,
``controller`` or ``vm``. What a section means stands in :mod:`labctl.overlay.config.topology_section`.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from ipaddress import IPv4Interface, IPv6Interface
from typing import TYPE_CHECKING, Any

from labctl.document.hints import nearest
from labctl.errors import InputError
from labctl.load.ranges import RangeError, expand
from labctl.model.topology import MAX_NODES, Behaviour, EndpointRequest, Given, LinkRequest

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, MutableMapping

    from labctl.document.document import Document
    from labctl.errors import Problem
    from labctl.load.schema import OverlayModel
    from labctl.model.lab import Lab, NodePlan
    from labctl.model.topology import NodeRequest, Path
    from labctl.overlay.config.model import VmPort
    from labctl.overlay.config.topology_section import SectionError, SectionFault
    from labctl.roles.model import Role

__all__ = ["GUEST_INTERFACE", "PART", "link_guests", "part_of", "section_problems", "with_overlay"]

PART = "overlay"
"""The role var that says what a node is to the overlay."""

GUEST_INTERFACE = "eth0"
DATABASE_PORT = 2181
_DEALT = ("host", "network")
_IPV4 = 4


def part_of(role: Role | None) -> str:
    """What nodes of a role are to the overlay; empty for nothing."""
    return "" if role is None else str(role.vars.get(PART, ""))


def link_guests(
    document: Document, nodes: MutableMapping[str, NodeRequest], roles: Mapping[str, Role]
) -> tuple[list[LinkRequest], list[Problem]]:
    """A link from each guest to its host.

    ``host`` and ``network`` of a range of guests may be ranges too: they are dealt out in turn, and
    ``nodes`` then says what each guest got.

    Args:
        document: for positions.
        nodes: every node, by name.
        roles: by name.

    Returns:
        The links, and every problem found.
    """
    parts = {name: part_of(roles.get(node.role)) for name, node in nodes.items()}
    hosts = [name for name, part in parts.items() if part == "compute"]
    links: list[LinkRequest] = []
    problems: list[Problem] = []
    told: set[Path] = set()
    dealer = _Dealer()
    for name, node in list(nodes.items()):
        role = roles.get(node.role)
        if role is None or role.acts_as is not Behaviour.GUEST:
            continue
        for key in _DEALT:
            given = node.given(key)
            if given is None:
                if node.path not in told:
                    hint = nearest("", hosts) if key == "host" else ""
                    problems.append(document.problem(node.path, f"{name!r} has no {key!r}", hint, key=True))
                told.add(node.path)
                continue
            try:
                nodes[name] = nodes[name].with_given(key, dealer.deal(given), given.path)
            except RangeError as error:
                if given.path not in told:
                    problems.append(document.problem(given.path, str(error)))
                told.add(given.path)
        host = nodes[name].given("host")
        if host is None or host.path in told:
            continue
        if host.value not in hosts:
            told.add(host.path)
            what = "unknown node" if host.value not in nodes else "no compute node:"
            problems.append(document.problem(host.path, f"{what} {host.value!r}", nearest(host.value, hosts)))
            continue
        end = EndpointRequest(name, GUEST_INTERFACE, places={"interface": host.path})
        links.append(LinkRequest(end, EndpointRequest(host.value), path=host.path))
    return links, problems


class _Dealer:
    """Deals the names of a range out in turn to those who were given the same one."""

    def __init__(self) -> None:
        self._turn: dict[Path, int] = {}

    def deal(self, given: Given) -> str:
        if not isinstance(given.value, str):
            raise RangeError(f"expected a name, not {given.value!r}")
        names = expand(given.value, MAX_NODES)
        turn = self._turn.get(given.path, 0)
        self._turn[given.path] = turn + 1
        return names[turn % len(names)]


def with_overlay(
    document: Document, lab: Lab, nodes: Mapping[str, NodeRequest], section: OverlayModel | None
) -> Lab:
    """A planned lab with its overlay planned too, and the guests' addresses known.

    Args:
        document: for positions.
        lab: planned; it is returned as it is where there is neither a section nor a node for one.
        nodes: every node as it was asked for, by name.
        section: as validated; None if there is none.

    Raises:
        InputError: every problem of the section, and of the nodes that it is about.
    """
    parts = {node.name: str(node.params.get(PART, "")) for node in lab.nodes}
    if section is None and not any(parts.values()):
        return lab
    # Most topologies have no overlay, and need not wait for what it brings in.
    from labctl.overlay.config.model import GatewaySet, VmPort  # noqa: PLC0415
    from labctl.overlay.config.topology_section import LabFacts, SectionError, plan_overlay  # noqa: PLC0415

    written = _expanded(document, section)
    untyped = [
        problem
        for node in lab.nodes
        if parts[node.name] == "vm"
        for problem in _untyped(document, node, nodes[node.name])
    ]
    if untyped:
        raise InputError(list(dict.fromkeys([*written.problems, *untyped])))
    plain = _facts(lab, parts, written.plain)
    try:
        items = plan_overlay(written.plain, LabFacts.parse(plain))
    except SectionError as error:
        raise InputError([*written.problems, *written.placed(error, nodes)]) from error
    if written.problems:
        raise InputError(written.problems)
    ports = {item.name: item for item in items if isinstance(item, VmPort)}
    plain["anycast"] = next(str(item.anycast) for item in items if isinstance(item, GatewaySet))
    addressed = tuple(_addressed(node, ports.get(node.name)) for node in lab.nodes)
    return replace(lab, nodes=addressed, overlay=plain)


def _facts(lab: Lab, parts: Mapping[str, str], section: dict[str, Any]) -> dict[str, Any]:
    """What the seed of a state database is told; see :mod:`labctl.overlay.store.seed`."""
    from labctl.overlay.config.topology_section import underlay_of  # noqa: PLC0415 - see with_overlay

    version = underlay_of(section).version
    return {
        "section": section,
        "hosts": [
            _host(node, parts[node.name], version) for node in lab.nodes if parts[node.name] in _AGENTS
        ],
        "link_mtu": _link_mtu(lab, parts),
        "vms": [_vm(node) for node in lab.nodes if parts[node.name] == "vm"],
        "controllers": [name for name, part in parts.items() if part == "controller"],
        "servers": [
            f"{node.loopback4.ip}:{DATABASE_PORT}"
            for node in lab.nodes
            if parts[node.name] == "controller" and node.loopback4
        ],
    }


def section_problems(document: Document, section: OverlayModel | None) -> list[Problem]:
    """What is wrong with a section by itself, for a topology whose nodes cannot be planned."""
    if section is None:
        return []
    from labctl.overlay.config.topology_section import LabFacts, SectionError, plan_overlay  # noqa: PLC0415

    written = _expanded(document, section)
    try:
        plan_overlay(written.plain, LabFacts())
    except SectionError as error:
        return [*written.problems, *written.placed(error, {})]
    return written.problems


_AGENTS = frozenset({"compute", "gateway"})


@dataclass(frozen=True, slots=True)
class _Written:
    """A section, and where its parts stand in the document.

    Attributes:
        document: for positions.
        plain: with the ranges in the tenants' names expanded.
        keys: for each tenant that the section names, the key that names it.
        problems: of the ranges.
    """

    document: Document
    plain: dict[str, Any]
    keys: dict[str, str]
    problems: list[Problem]

    def placed(self, error: SectionError, nodes: Mapping[str, NodeRequest]) -> list[Problem]:
        """The faults of planning, each where it stands; one that holds for a whole range comes once."""
        return list(dict.fromkeys(self._problem(fault, nodes) for fault in error.faults))

    def _problem(self, fault: SectionFault, nodes: Mapping[str, NodeRequest]) -> Problem:
        path = self._path(fault.path, nodes)
        # A value is pointed at itself; what has more in it, or nothing, by its key.
        value = self.document.at(*path).data if self.document.has(path) else None
        is_scalar = value is not None and not isinstance(value, dict | list)
        return self.document.problem(path, fault.message, fault.hint, key=not is_scalar)

    def _path(self, path: Path, nodes: Mapping[str, NodeRequest]) -> Path:
        if path[:1] in (("hosts",), ("vms",)):
            node = nodes[str(path[1])]
            given = node.given(str(path[-1]))
            return node.path if given is None else given.path
        if path[:1] == ("tenants",):
            # Those that are only counted stand nowhere else.
            key = self.keys.get(str(path[1]))
            return ("overlay", "networks") if key is None else ("overlay", "tenants", key, *path[2:])
        return ("overlay", *path)


def _expanded(document: Document, model: OverlayModel | None) -> _Written:
    """The section as plain values."""
    plain = {} if model is None else model.model_dump(mode="json", by_alias=True, exclude_unset=True)
    keys: dict[str, str] = {}
    tenants: dict[str, Any] = {}
    problems = []
    for key, value in (plain.get("tenants") or {}).items():
        path = ("overlay", "tenants", key)
        try:
            names = expand(key, MAX_NODES)
        except RangeError as error:
            problems.append(document.problem(path, str(error), key=True))
            continue
        twice = [name for name in names if name in tenants]
        if twice:
            problems.append(document.problem(path, f"tenant {twice[0]!r} is there already", key=True))
        tenants |= dict.fromkeys(names, value)
        keys = dict.fromkeys(names, key) | keys
    if tenants:
        plain["tenants"] = tenants
    return _Written(document, plain, keys, problems)


def _host(node: NodePlan, kind: str, version: int) -> dict[str, str]:
    loopback = node.loopback4 if version == _IPV4 else node.loopback6
    return {"name": node.name, "kind": kind, "tunnel": str(loopback.ip) if loopback else ""}


def _link_mtu(lab: Lab, parts: Mapping[str, str]) -> int:
    """The smallest MTU of the underlay's links; 0 without any.

    They are those that can be reached from a compute node without crossing a gateway.
    """
    links = [link for link in lab.links if "vm" not in {parts[end.node] for end in (link.a, link.b)}]
    reached = {name for name, part in parts.items() if part == "compute"}
    grows = True
    while grows:
        inner = {name for name in reached if parts[name] != "gateway"}
        beside = {
            end.node for link in links if inner & {link.a.node, link.b.node} for end in (link.a, link.b)
        }
        grows = not beside <= reached
        reached |= beside
    return min((link.mtu for link in links if inner & {link.a.node, link.b.node}), default=0)


def _untyped(document: Document, node: NodePlan, request: NodeRequest) -> Iterator[Problem]:
    """What a virtual machine is told that is of the wrong type."""
    for key in ("host", "network", "groups"):
        value = node.params.get(key, "")
        words = value if key == "groups" and isinstance(value, list) else [value]
        if all(isinstance(word, str) for word in words):
            continue
        given = request.given(key)
        path = request.path if given is None else given.path
        expected = "a name or a list of names" if key == "groups" else "a name"
        yield document.problem(path, f"{key} of {node.name}: expected {expected}, not {value!r}")


def _vm(node: NodePlan) -> dict[str, Any]:
    groups = node.params.get("groups", [])
    mac = next((port.mac for port in node.interfaces if port.name == GUEST_INTERFACE), "")
    return {
        "name": node.name,
        "host": node.params.get("host", ""),
        "network": node.params.get("network", ""),
        "mac": mac,
        "groups": [groups] if isinstance(groups, str) else list(groups),
    }


def _addressed(node: NodePlan, port: VmPort | None) -> NodePlan:
    if port is None:
        return node
    four = next((address for address in port.addresses if address.version == _IPV4), None)
    six = next((address for address in port.addresses if address.version != _IPV4), None)
    return replace(
        node,
        loopback4=None if four is None else IPv4Interface(f"{four}/32"),
        loopback6=None if six is None else IPv6Interface(f"{six}/128"),
    )
