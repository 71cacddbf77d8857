"""``gateway-add``: a gateway that was removed is one again."""

from __future__ import annotations

from labctl.scenario.kinds.plain import node_kind
from labctl.scenario.overlay import change, check_gateway

__all__ = ["KIND"]

KIND = node_kind(
    "gateway-add",
    "ends a `gateway-remove`",
    "gateways of the overlay",
    lambda lab, node, _listen: change(lab, "gateway-add", node, ("gateway", "add", node)),
    check=check_gateway,
)
