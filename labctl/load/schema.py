"""The schema of a topology file, as pydantic models: validation and editors use the same schema.

Names, ranges and addresses are checked further in :mod:`labctl.load.expand` and
:mod:`labctl.load.check`, where the whole topology is known.
"""

from __future__ import annotations

import re
from ipaddress import IPv4Address, IPv4Interface, IPv4Network, IPv6Address, IPv6Interface, IPv6Network
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Discriminator, Field, IPvAnyAddress, Tag

from labctl.model.topology import MAX_NODES

__all__ = [
    "AddressingModel",
    "DefaultsModel",
    "LinkModel",
    "LinkPair",
    "LoopbackModel",
    "NodeModel",
    "OverlayModel",
    "RoleModel",
    "TenantModel",
    "TopologyModel",
    "VirtualNetworkModel",
    "json_schema",
]

Asn = Annotated[int, Field(strict=True, ge=1, le=4294967294)]
Mtu = Annotated[int, Field(strict=True, ge=1280, le=65535)]
Text = Annotated[str, Field(strict=True, min_length=1)]
_MAC = r"^[0-9a-fA-F]{2}(:[0-9a-fA-F]{2}){5}$"


def _mac(text: str) -> str:
    if not re.fullmatch(_MAC, text):
        raise ValueError(f"expected a MAC address such as 02:00:00:00:00:01, not {text!r}")
    return text


Mac = Annotated[str, AfterValidator(_mac), Field(json_schema_extra={"pattern": _MAC})]


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class LoopbackModel(_Strict):
    """A node's own addresses."""

    ipv4: IPv4Address | None = Field(default=None, description="IPv4 address of the loopback, a /32")
    ipv6: IPv6Address | None = Field(default=None, description="IPv6 address of the loopback, a /128")


class RoleModel(_Strict):
    """What every node of a role gets unless the node says otherwise."""

    image: Text | None = Field(default=None, description="container image instead of the role's own")
    vars: dict[str, Any] = Field(default_factory=dict, description="values for the role's templates")


class NodeModel(BaseModel):
    """A node, or every node of a range; or, for nodes that exist already, what is different."""

    # A role may have keys of its own (node-keys of its role.yml): expand refuses the others.
    model_config = ConfigDict(extra="allow", frozen=True)

    role: Text | None = Field(
        default=None, description="a folder of the templates: host, router, gateway, ..."
    )
    count: Annotated[int, Field(strict=True, ge=1, le=MAX_NODES)] | None = Field(
        default=None, description="so many nodes: name1, name2, ..."
    )
    loopback: LoopbackModel | None = Field(
        default=None, description="the node's own addresses instead of planned ones"
    )
    asn: Asn | None = Field(default=None, description="BGP autonomous system number instead of a planned one")
    image: Text | None = Field(default=None, description="container image instead of the role's own")
    vars: dict[str, Any] = Field(default_factory=dict, description="values for the role's templates")


class LinkModel(_Strict):
    """Links with something to say about them. The two-item lists are: end a, end b."""

    a: Text = Field(description='node, range of nodes, or node:interface, such as "r[1-2]" or "r1:eth7"')
    b: Text = Field(description="the other end")
    pair: bool = Field(
        default=False,
        strict=True,
        description="link the n-th of a with the n-th of b, instead of each with each",
    )
    override: bool = Field(
        default=False,
        strict=True,
        description="change the links that are there between a and b, instead of adding",
    )
    mtu: Mtu | None = Field(default=None, description="bytes of IP packet")
    ipv4: tuple[IPv4Interface | None, IPv4Interface | None] | None = Field(
        default=None, description="address with prefix length at each end, null: planned"
    )
    ipv6: tuple[IPv6Interface | None, IPv6Interface | None] | None = Field(
        default=None, description="address with prefix length at each end, null: planned"
    )
    mac: tuple[Mac | None, Mac | None] | None = Field(
        default=None, description="MAC address at each end, null: planned"
    )


LinkPair = tuple[Text, Text]


def _shape(link: object) -> str | None:
    if isinstance(link, list | tuple):
        return "list"
    return "mapping" if isinstance(link, dict | LinkModel) else None


LinkValue = Annotated[
    Annotated[LinkPair, Tag("list")] | Annotated[LinkModel, Tag("mapping")],
    Discriminator(
        _shape,
        custom_error_type="link_shape",
        custom_error_message="expected [a, b] or {a: ..., b: ...}",
    ),
]


class DefaultsModel(_Strict):
    """What holds unless a node or link says otherwise."""

    mtu: Mtu | None = Field(default=None, description="of every link, bytes of IP packet")
    image: Text | None = Field(default=None, description="container image of every node")
    vars: dict[str, Any] = Field(default_factory=dict, description="for every node's templates")


class AddressingModel(_Strict):
    """Where planned values come from."""

    loopback4: IPv4Network | None = Field(default=None, description="pool of IPv4 loopbacks")
    loopback6: IPv6Network | None = Field(default=None, description="pool of IPv6 loopbacks")
    link4: IPv4Network | None = Field(default=None, description="pool of /31 for links with a host")
    link6: IPv6Network | None = Field(default=None, description="pool of /127 for links with a host")
    segment4: IPv4Network | None = Field(
        default=None, description="pool of IPv4 subnets for switched segments"
    )
    segment6: IPv6Network | None = Field(default=None, description="pool of /64 for switched segments")
    asn: Asn | None = Field(default=None, description="first planned AS number")


class RuleModel(_Strict):
    """Something that a security group allows; return traffic goes with it."""

    model_config = ConfigDict(extra="forbid", frozen=True, populate_by_name=False)

    allow: Literal["in", "out"] = Field(description="direction of the first packet, as the VM sees it")
    proto: str | int = Field(default="any", description="any, icmp, tcp, udp, sctp or a number")
    ports: str | int = Field(default="", description="such as 80 or 8000-8100; of icmp its type")
    source: Text | None = Field(default=None, alias="from", description="a prefix or a group; with in")
    target: Text | None = Field(default=None, alias="to", description="a prefix or a group; with out")


class VirtualNetworkModel(_Strict):
    """A tenant's network; what is not given is planned."""

    ipv4: IPv4Network | None = Field(default=None, description="IPv4 prefix")
    ipv6: IPv6Network | None = Field(default=None, description="IPv6 prefix, a /64")
    dns: list[IPvAnyAddress] = Field(default_factory=list, description="name servers")


class TenantModel(_Strict):
    """A tenant."""

    networks: dict[str, VirtualNetworkModel | None] | None = Field(
        default=None, description="by name; one called <tenant>-net unless given"
    )
    groups: dict[str, list[RuleModel]] | None = Field(default=None, description="security groups by name")
    peers: list[Text] = Field(default_factory=list, description="tenants that may be reached")


class OverlayModel(_Strict):
    """What the overlay's state database begins with."""

    underlay: Literal["ipv4", "ipv6"] | None = Field(
        default=None, description="what tunnels go over; that of anycast, or ipv4, unless given"
    )
    anycast: IPvAnyAddress | None = Field(default=None, description="the gateways' common underlay address")
    ipv4: IPv4Network | None = Field(default=None, description="pool of the networks' /24")
    ipv6: IPv6Network | None = Field(default=None, description="pool of the networks' /64")
    mtu: Mtu | None = Field(default=None, description="of every network, bytes of IP packet")
    networks: Annotated[int, Field(strict=True, ge=0, le=MAX_NODES)] | None = Field(
        default=None, description="so many tenants t1, t2, ... with a network t1-net, t2-net, ... each"
    )
    tenants: dict[str, TenantModel | None] | None = Field(
        default=None, description="by name; ranges such as t[1-3]"
    )


class TopologyModel(_Strict):
    """A labctl topology."""

    model_config = ConfigDict(title="labctl topology")

    name: Text = Field(description="of the lab: lower-case letters, digits and '-'")
    vars: dict[str, str | int | float | bool | None] | None = Field(
        default=None, description="variables, used as {name} in any text and changed by --set name=value"
    )
    addressing: AddressingModel | None = None
    templates: Text | list[Text] | None = Field(
        default=None, description="your template folders, from where this file is; the first on top"
    )
    defaults: DefaultsModel | None = None
    roles: dict[str, RoleModel] | None = Field(default=None, description="settings for every node of a role")
    nodes: dict[str, NodeModel | None] = Field(min_length=1, description="by name; ranges such as gw[1-3]")
    links: list[LinkValue] | None = Field(default=None, description="[a, b], or {a: ..., b: ..., mtu: ...}")
    overlay: OverlayModel | None = None


_VARIABLE = {"type": "string", "pattern": r"\{[^{}]+\}"}


def json_schema(node_keys: tuple[str, ...] = (), roles: tuple[str, ...] = ()) -> dict[str, Any]:
    """JSON Schema (2020-12) of a topology file.

    Args:
        node_keys: further keys that roles allow in a node.
        roles: known role names, shown by editors as suggestions.

    Returns:
        The schema, derived from the models above; a text with ``{variable}`` in it is allowed
        wherever a number or a truth value is.
    """
    schema = TopologyModel.model_json_schema()
    _allow_variables(schema)
    node = schema["$defs"]["NodeModel"]
    node["additionalProperties"] = False
    for key in node_keys:
        node["properties"].setdefault(key, {"description": "a key of the node's role"})
    if roles:
        node["properties"]["role"]["examples"] = list(roles)
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **schema}


def _allow_variables(part: Any) -> None:  # noqa: ANN401 - any JSON
    """Let ``{size}`` stand for a number, an address and the like, in place."""
    if isinstance(part, list):
        for item in part:
            _allow_variables(item)
    elif isinstance(part, dict):
        for item in list(part.values()):
            _allow_variables(item)
        if part.get("type") in ("integer", "number", "boolean") or "format" in part:
            kept = {
                key: part.pop(key) for key in list(part) if key not in ("title", "description", "default")
            }
            part["anyOf"] = [kept, dict(_VARIABLE)]
