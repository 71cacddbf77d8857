"""``gateway-drain``: a gateway of the overlay gives its traffic away."""

from __future__ import annotations

from labctl.scenario.kinds.actions import gateway_undrain
from labctl.scenario.kinds.plain import node_kind
from labctl.scenario.overlay import change, check_gateway

__all__ = ["KIND"]

KIND = node_kind(
    "gateway-drain",
    "of the [overlay](overlay.md), like `labctl overlay gateway drain`",
    "gateways of the overlay",
    lambda lab, node, _listen: change(lab, "gateway-drain", node, ("gateway", "drain", node)),
    check=check_gateway,
    undo=gateway_undrain.KIND,
    silent=lambda _params: True,
)
