"""What nova's L3 driver does before the first network: rules for translation and the metadata service."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

    from labctl.nova.database import NovaNetwork
    from labctl.nova.firewall import Firewall
    from labctl.nova.rootexec import Execute
    from labctl.nova.settings import NovaSettings

__all__ = ["METADATA_ADDRESS", "initialize", "initialize_range"]

METADATA_ADDRESS = "169.254.169.254/32"
METADATA_PORT = 8775
_THERE_ALREADY = (0, 2, 254)
"""Exit codes of ``ip address add`` that nova accepts: the address may be there."""


def initialize(
    settings: NovaSettings, networks: Iterable[NovaNetwork], execute: Execute, firewall: Firewall
) -> None:
    """Prepare the controller, before the first network.

    Raises:
        CommandError: a command failed.
    """
    if firewall.traits.range_a_network:
        for network in networks:
            initialize_range(settings, network.cidr, firewall)
    else:
        initialize_range(settings, settings.fixed_range, firewall)
    execute("ip", "addr", "add", METADATA_ADDRESS, "scope", "link", "dev", "lo", allowed=_THERE_ALREADY)
    matches = f"-d {METADATA_ADDRESS} -p tcp -m tcp --dport 80"
    firewall.tables["nat"].add(
        "PREROUTING", f"{matches} -j DNAT --to-destination {settings.public_address}:{METADATA_PORT}"
    )
    firewall.apply()


def initialize_range(settings: NovaSettings, cidr: str, firewall: Firewall) -> None:
    """Two applies: addresses of the range are translated, except towards where they are known.

    The lab's tenants have routed addresses, as the talk's had: ``dmz_cidr`` of its ``nova.conf`` is the whole
    world, so that nothing is translated, and the rules are there all the same.

    Raises:
        CommandError: iptables refused.
    """
    nat = firewall.tables["nat"]
    nat.add("snat", f"-s {cidr} -j SNAT --to-source {settings.public_address}")
    firewall.apply()
    nat.add("POSTROUTING", f"-s {cidr} -d {settings.public_address}/32 -j ACCEPT")
    nat.add("POSTROUTING", f"-s {cidr} -j ACCEPT")
    nat.add("POSTROUTING", f"-s {cidr} -d {cidr} -m conntrack ! --ctstate DNAT -j ACCEPT")
    firewall.apply()
