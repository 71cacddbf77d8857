"""Packet filters on one interface."""

from __future__ import annotations

from labctl.doctor.kernel import needed_feature
from labctl.linux.features import VETH, ruleset, trial

__all__ = ["CHECK"]

CHECK = needed_feature(
    name="nftables, netdev ingress",
    order=80,
    reason="silent loss: carrier stays, packets go nowhere",
    probe=trial(
        VETH,
        "nft -f -",
        stdin=ruleset("netdev", 'type filter hook ingress device "a" priority 0; drop'),
    ),
)
