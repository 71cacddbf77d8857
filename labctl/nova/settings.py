"""The controller's settings, read from one JSON file."""

from __future__ import annotations

import json
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from labctl.errors import InputError, Problem
from labctl.nova.traits import TRAITS, Release, ReleaseTraits

__all__ = ["Dhcpbridge", "NovaSettings", "RootHelper", "load_settings"]


class RootHelper(StrEnum):
    """What stands before every command that needs root."""

    NONE = "none"
    SUDO = "sudo"
    ROOTWRAP = "rootwrap"
    DAEMON = "rootwrap-daemon"


class Dhcpbridge(StrEnum):
    """What dnsmasq runs at its start to learn of the leases."""

    SHELL = "shell"
    PYTHON = "python"


@dataclass(frozen=True, slots=True)
class NovaSettings:
    """Everything that the controller is told.

    Attributes:
        interface: that the tenants' segments run over.
        database: address of the MariaDB server.
        queue: address of the RabbitMQ server.
        public_address: that the tenants' VPN ports are forwarded from.
        fixed_range: of all tenants, in text.
        root_helper: see :class:`RootHelper`.
        send_arp_for_ha: announce each gateway address by ARP; Folsom's default is off.
        release: whose behaviour it has.
        dhcpbridge: see :class:`Dhcpbridge`; nova's was Python.
        host: the networks of this host are built; both controllers have the same name.
        defer_applies: later than all of them: one apply at the end of all networks.
        state: folder for pid files, hosts files and the lock.
        events: file that gets the events, one JSON object a line.
    """

    interface: str
    database: str
    queue: str
    public_address: str
    fixed_range: str = "10.40.0.0/16"
    root_helper: RootHelper = RootHelper.ROOTWRAP
    send_arp_for_ha: bool = False
    release: Release = Release.FOLSOM_3
    dhcpbridge: Dhcpbridge = Dhcpbridge.PYTHON
    host: str = "nova-network"
    defer_applies: bool = False
    state: Path = Path("/var/lib/labctl-nova")
    events: Path = Path("/var/log/labctl-nova/events.jsonl")

    @property
    def traits(self) -> ReleaseTraits:
        """Of the release."""
        return TRAITS[self.release]


def load_settings(path: Path) -> NovaSettings:
    """Read the settings.

    Raises:
        InputError: the file is not there, is no JSON, or says what cannot be.
    """
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
        data["root_helper"] = RootHelper(data.get("root_helper", RootHelper.ROOTWRAP))
        data["release"] = Release(data.get("release", Release.FOLSOM_3))
        data["dhcpbridge"] = Dhcpbridge(data.get("dhcpbridge", Dhcpbridge.PYTHON))
        for name in ("state", "events"):
            if name in data:
                data[name] = Path(data[name])
        return NovaSettings(**data)
    except (OSError, ValueError, TypeError) as error:
        raise InputError([Problem(str(path), 0, 0, str(error))]) from error
