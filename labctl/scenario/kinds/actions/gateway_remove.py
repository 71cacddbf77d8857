"""``gateway-remove``: a gateway leaves the overlay."""

from __future__ import annotations

from labctl.scenario.kinds.actions import gateway_add
from labctl.scenario.kinds.plain import node_kind
from labctl.scenario.overlay import change, check_gateway

__all__ = ["KIND"]

KIND = node_kind(
    "gateway-remove",
    "like `labctl overlay gateway remove`",
    "gateways of the overlay",
    lambda lab, node, _listen: change(lab, "gateway-remove", node, ("gateway", "remove", node)),
    check=check_gateway,
    undo=gateway_add.KIND,
    silent=lambda _params: True,
)
