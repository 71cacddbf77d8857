"""Checks for the legacy network controllers (docs/paris.md): what their nodes run, and the Python for it."""

from __future__ import annotations

from dataclasses import dataclass
from importlib.util import find_spec

from labctl.doctor.checks.programs import OnPath
from labctl.doctor.model import Check, LackingError, Purpose

__all__ = ["CHECKS"]

_GROUP = "legacy controllers"
_PARIS = frozenset({Purpose.PARIS, Purpose.TESTS})
_FIX = "pip install 'labctl-testbed[paris]'"


@dataclass(frozen=True, slots=True)
class Modules:
    """Every one of these modules can be imported by labctl's own Python, which the nodes use."""

    names: tuple[str, ...]

    def __call__(self) -> str:
        """Their names; LackingError names those that are not there."""
        lacking = [name for name in self.names if find_spec(name) is None]
        if lacking:
            raise LackingError("no " + ", ".join(lacking))
        return " ".join(self.names)


def _tool(programs: str, packages: str, reason: str) -> Check:
    names = tuple(programs.split())
    return Check(names[0], _GROUP, reason, OnPath(names), needed=_PARIS, packages=tuple(packages.split()))


CHECKS = (
    _tool(
        "keepalived", "keepalived", "which controller of a pair, or gateway of a VRRP pair, is the active one"
    ),
    _tool(
        "corosync pacemakerd crm_resource", "corosync pacemaker pacemaker-cli-utils", "the same with fencing"
    ),
    _tool("mariadbd mariadb-install-db", "mariadb-server-core mariadb-client-core", "the tenants' networks"),
    _tool("rabbitmq-server", "rabbitmq-server", "the message queue that a controller connects to last"),
    _tool("dnsmasq", "dnsmasq-base", "DHCP and names of each tenant"),
    _tool("iptables-save iptables-restore", "iptables", "the controllers' rules, saved and restored as then"),
    _tool("brctl", "bridge-utils", "the tenants' bridges, made as then"),
    _tool("sudo", "sudo", "root helpers of the controllers"),
    _tool("arping", "iputils-arping", "announcing a gateway's address, where that is asked for"),
    Check(
        "Python modules",
        _GROUP,
        "controllers speak with database and queue, and run commands through oslo.rootwrap",
        Modules(("pymysql", "pika", "oslo_rootwrap")),
        fix=_FIX,
        needed=_PARIS,
    ),
)
