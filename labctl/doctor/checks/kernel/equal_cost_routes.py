"""Routes with several next hops."""

from __future__ import annotations

from labctl.doctor.kernel import needed_feature
from labctl.linux.features import VETH, trial

__all__ = ["CHECK"]

CHECK = needed_feature(
    name="equal-cost routes",
    order=60,
    reason="traffic goes over several gateways at once",
    probe=trial(
        VETH,
        "ip link set dev a up",
        "ip link set dev b up",
        "ip addr add 192.0.2.1/31 dev a",
        "ip addr add 192.0.2.3/31 dev b",
        "ip route add 198.51.100.0/24 nexthop via 192.0.2.0 nexthop via 192.0.2.2",
    ),
)
