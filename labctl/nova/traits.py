"""What differs between the releases of nova-network: the one place that knows.

Each fact was read in ``nova/network/linux_net.py``, ``l3.py`` and ``manager.py`` of the release's tag, for
the VLAN manager with the default options. Pure.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

__all__ = ["TRAITS", "Release", "ReleaseTraits"]

_INTERFACE_COMMANDS = 16
"""Of a new network in every release: 4 for the segment, 7 for the bridge, 4 for the gateway, 1 dnsmasq."""
_APPLIES_A_NETWORK = 3
"""Bridge, VPN port, DHCP."""


class Release(StrEnum):
    """A release by its tag."""

    FOLSOM = "2012.2"
    FOLSOM_3 = "2012.2.3"
    GRIZZLY = "2013.1"
    HAVANA = "2013.2"


@dataclass(frozen=True, slots=True)
class ReleaseTraits:
    """How a release works.

    Attributes:
        tables: that an apply writes; ``mangle`` joined them in 2012.2.3.
        one_restore: since 2013.1 one save and one restore serve all tables, instead of one a table.
        dirty_check: since 2013.2 an apply does nothing where no rule was changed since the last.
        up_in_bridge: since 2013.2 the segment's interface is set up again when it is in the bridge.
        range_a_network: since 2013.2 the rules against translation stand for each network's range and not
            for one range of all; they are made for all networks before the first one is built.
    """

    tables: tuple[str, ...] = ("filter", "mangle", "nat")
    one_restore: bool = False
    dirty_check: bool = False
    up_in_bridge: bool = False
    range_a_network: bool = False

    @property
    def commands_an_apply(self) -> int:
        """Root commands of an apply that is not skipped."""
        return 2 * (1 if self.one_restore else len(self.tables))

    @property
    def commands_a_network(self) -> int:
        """Root commands of a network on a fresh controller, with default options."""
        return _INTERFACE_COMMANDS + self.up_in_bridge + _APPLIES_A_NETWORK * self.commands_an_apply

    def commands_before(self, networks: int) -> int:
        """Root commands before the first of so many networks: two applies a range, and metadata."""
        ranges = networks if self.range_a_network else 1
        return (2 * ranges + 1) * self.commands_an_apply + 1


TRAITS: dict[Release, ReleaseTraits] = {
    Release.FOLSOM: ReleaseTraits(tables=("filter", "nat")),
    Release.FOLSOM_3: ReleaseTraits(),
    Release.GRIZZLY: ReleaseTraits(one_restore=True),
    Release.HAVANA: ReleaseTraits(
        one_restore=True, dirty_check=True, up_in_bridge=True, range_a_network=True
    ),
}
"""Traits of every release; the tables in the order in which Python 2 walked them."""
