"""Tenants' networks as the legacy controllers' database has them."""

from __future__ import annotations

from labctl.nova.database import NovaNetwork, networks_of

__all__ = ["network"]


def network(index: int) -> NovaNetwork:
    """The network at that 0-based place in the range, with one machine."""
    number = index + 1
    row = (f"tenant{number}", 100 + number, f"br{100 + number}", f"10.40.{number}.0/24", f"10.40.{number}.1")
    rest = ("255.255.255.0", f"10.40.{number}.255", f"10.40.{number}.3", 10000 + number, f"10.40.{number}.2")
    machine = (number, f"10.40.{number}.10", "02:40:00:00:01:0a", "vm")
    return networks_of([(number, *row, *rest)], [machine])[0]
