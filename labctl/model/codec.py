"""Lab <-> JSON: the content of ``lab.json`` and of a journal's header."""

from __future__ import annotations

import json
from dataclasses import fields
from ipaddress import IPv4Interface, IPv6Interface
from typing import TYPE_CHECKING, Any

from labctl.model.fields import items, number, optional_number, pairs, text
from labctl.model.lab import Endpoint, Interface, Lab, LinkPlan, NodePlan

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["FORMAT", "dump_lab", "lab_from_dict", "lab_to_dict", "load_lab"]

FORMAT = 1
"""Version of the form; a reader refuses one that it does not know."""


def dump_lab(lab: Lab) -> str:
    """The lab as JSON text, the same text for the same lab."""
    return json.dumps(lab_to_dict(lab), indent=1, ensure_ascii=False) + "\n"


def load_lab(content: str) -> Lab:
    """The lab that :func:`dump_lab` wrote.

    Raises:
        ValueError: the text is not a lab of this form.
    """
    return lab_from_dict(json.loads(content))


def lab_to_dict(lab: Lab) -> dict[str, Any]:
    """Plain JSON values; interfaces as text with prefix length, endpoints as ``node:interface``."""
    return {
        "format": FORMAT,
        "name": lab.name,
        "vars": dict(lab.vars),
        "nodes": [_node_out(node) for node in lab.nodes],
        "links": [
            {"index": link.index, "a": str(link.a), "b": str(link.b), "mtu": link.mtu} for link in lab.links
        ],
        **({"overlay": dict(lab.overlay)} if lab.overlay else {}),
        **({"templates": list(lab.templates)} if lab.templates else {}),
    }


def lab_from_dict(data: Mapping[str, Any]) -> Lab:
    """The lab that :func:`lab_to_dict` took apart.

    Raises:
        ValueError: the values are not a lab of this form.
    """
    if number(data, "format") != FORMAT:
        raise ValueError(f"a lab of format {data['format']!r}, expected {FORMAT}")
    try:
        nodes = tuple(_node_in(node) for node in items(data, "nodes"))
        macs = {Endpoint(node.name, port.name): port.mac for node in nodes for port in node.interfaces}
        return Lab(
            name=text(data, "name"),
            nodes=nodes,
            links=tuple(_link_in(link, macs) for link in items(data, "links")),
            vars=pairs(data, "vars"),
            overlay=pairs(data, "overlay") if "overlay" in data else {},
            templates=tuple(items(data, "templates")) if "templates" in data else (),
        )
    except (TypeError, AttributeError) as error:
        raise ValueError(f"not a lab: {error}") from error


def _node_out(node: NodePlan) -> dict[str, Any]:
    return {
        "name": node.name,
        "role": node.role,
        "acts_as": node.acts_as,
        "index": node.index,
        "loopback4": _text(node.loopback4),
        "loopback6": _text(node.loopback6),
        "asn": node.asn,
        "image": node.image,
        "params": dict(node.params),
        "interfaces": [_interface_out(interface) for interface in node.interfaces],
    }


def _node_in(data: Mapping[str, Any]) -> NodePlan:
    return NodePlan(
        name=text(data, "name"),
        role=text(data, "role"),
        index=number(data, "index"),
        interfaces=tuple(_interface_in(interface) for interface in items(data, "interfaces")),
        loopback4=_ipv4(data.get("loopback4")),
        loopback6=_ipv6(data.get("loopback6")),
        asn=optional_number(data, "asn"),
        params=pairs(data, "params"),
        acts_as=text(data, "acts_as"),
        image=text(data, "image"),
    )


def _link_in(data: Mapping[str, Any], macs: Mapping[Endpoint, str]) -> LinkPlan:
    a, b = _endpoint(text(data, "a")), _endpoint(text(data, "b"))
    known = (macs.get(a, ""), macs.get(b, ""))
    return LinkPlan(number(data, "index"), a, b, number(data, "mtu"), known)


def _interface_out(interface: Interface) -> dict[str, Any]:
    values = {spec.name: getattr(interface, spec.name) for spec in fields(Interface)}
    for name in ("peer", "ipv4", "ipv6", "peer_ipv4", "peer_ipv6"):
        values[name] = _text(values[name])
    return values


def _interface_in(data: Mapping[str, Any]) -> Interface:
    return Interface(
        name=text(data, "name"),
        link=number(data, "link"),
        peer=_endpoint(text(data, "peer")),
        peer_role=text(data, "peer_role"),
        mac=text(data, "mac"),
        mtu=number(data, "mtu"),
        ipv4=_ipv4(data.get("ipv4")),
        ipv6=_ipv6(data.get("ipv6")),
        peer_ipv4=_ipv4(data.get("peer_ipv4")),
        peer_ipv6=_ipv6(data.get("peer_ipv6")),
        side=text(data, "side"),
    )


def _endpoint(name: str) -> Endpoint:
    node, _, interface = name.partition(":")
    return Endpoint(node, interface)


def _text(value: object) -> str | None:
    return None if value is None else str(value)


def _ipv4(address: str | None) -> IPv4Interface | None:
    return None if address is None else IPv4Interface(address)


def _ipv6(address: str | None) -> IPv6Interface | None:
    return None if address is None else IPv6Interface(address)
