"""``gateway-undrain``: a drained gateway takes traffic again."""

from __future__ import annotations

from labctl.scenario.kinds.plain import node_kind
from labctl.scenario.overlay import change, check_gateway

__all__ = ["KIND"]

KIND = node_kind(
    "gateway-undrain",
    "ends a `gateway-drain`",
    "gateways of the overlay",
    lambda lab, node, _listen: change(lab, "gateway-undrain", node, ("gateway", "drain", node, "--undo")),
    check=check_gateway,
)
