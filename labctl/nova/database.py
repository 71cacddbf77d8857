"""The tenants' networks, read from MariaDB."""

from __future__ import annotations

import contextlib
import time
from dataclasses import dataclass
from importlib import import_module
from typing import TYPE_CHECKING, Any

from labctl.errors import LabctlError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

__all__ = ["DatabaseError", "FixedAddress", "NovaNetwork", "networks_of", "read_networks"]

NAME = "nova"
"""Of the database, of its user, and of the password: the lab leads nowhere."""

RETRY_S = 1.0
PATIENCE_S = 300.0
_CONNECT_S = 5

_COLUMNS = (
    "label",
    "vlan",
    "bridge",
    "cidr",
    "gateway",
    "netmask",
    "broadcast",
    "dhcp_start",
    "vpn_public_port",
    "vpn_private_address",
)
_NETWORKS = (
    f"SELECT id, {', '.join(_COLUMNS)} FROM networks WHERE deleted = 0 AND (host = %s OR id IN"  # noqa: S608 - ours
    " (SELECT network_id FROM fixed_ips WHERE deleted = 0 AND host = %s)) ORDER BY id"
)
"""As nova's network_get_all_by_host: the host's networks, and those with an address on the host."""
_ADDRESSES = (
    "SELECT f.network_id, f.address, v.address, i.hostname FROM fixed_ips f"
    " JOIN virtual_interfaces v ON v.id = f.virtual_interface_id JOIN instances i ON i.id = f.instance_id"
    " WHERE f.deleted = 0 ORDER BY f.network_id, f.id"
)


class DatabaseError(LabctlError):
    """The database does not answer, or not as it should."""


@dataclass(frozen=True, slots=True)
class FixedAddress:
    """A virtual machine's address, MAC and name, for the DHCP server."""

    address: str
    mac: str
    hostname: str


@dataclass(frozen=True, slots=True)
class NovaNetwork:
    """One tenant's network, as its row says.

    Attributes:
        index: 0-based place in the range.
        network_id: of its row.
        label: name of the network.
        vlan: number of its segment.
        bridge: name of its bridge.
        cidr: in text, as are all addresses.
        prefix: length of the netmask in bits.
        vpn_public_port: on the controller's public address, forwarded to the tenant's VPN machine.
        addresses: of its virtual machines.
    """

    index: int
    network_id: int
    label: str
    vlan: int
    bridge: str
    cidr: str
    gateway: str
    netmask: str
    broadcast: str
    dhcp_start: str
    vpn_public_port: int
    vpn_private_address: str
    addresses: tuple[FixedAddress, ...] = ()

    @property
    def prefix(self) -> int:
        """Bits of the netmask."""
        return int(self.cidr.partition("/")[2])


def networks_of(
    rows: Iterable[tuple[Any, ...]], addresses: Iterable[tuple[Any, ...]]
) -> tuple[NovaNetwork, ...]:
    """Rows of the two queries -> networks, in the order of their ids."""
    by_network: dict[int, list[FixedAddress]] = {}
    for network_id, address, mac, hostname in addresses:
        by_network.setdefault(network_id, []).append(FixedAddress(address, mac, hostname))
    return tuple(
        NovaNetwork(
            index=index,
            network_id=network_id,
            addresses=tuple(by_network.get(network_id, ())),
            **dict(zip(_COLUMNS, values, strict=True)),
        )
        for index, (network_id, *values) in enumerate(rows)
    )


def read_networks(server: str, host: str, retried: Callable[[str], None]) -> tuple[NovaNetwork, ...]:
    """Read every network of a host; tried again until the server answers.

    Args:
        server: address of the server.
        host: name of the controller in ``networks.host``.
        retried: told of every attempt that failed.

    Raises:
        DatabaseError: it does not answer within :data:`PATIENCE_S`.
    """
    pymysql = import_module("pymysql")
    end = time.monotonic() + PATIENCE_S
    while True:
        try:
            connection = pymysql.connect(
                host=server, user=NAME, password=NAME, database=NAME, connect_timeout=_CONNECT_S
            )
            with contextlib.closing(connection), connection.cursor() as cursor:
                cursor.execute(_NETWORKS, (host, host))
                rows = cursor.fetchall()
                cursor.execute(_ADDRESSES)
                return networks_of(rows, cursor.fetchall())
        except pymysql.err.MySQLError as error:
            if time.monotonic() > end:
                raise DatabaseError(f"database at {server}: {error}") from error
            retried(str(error))
            time.sleep(RETRY_S)
