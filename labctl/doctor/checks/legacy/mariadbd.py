"""The programs mariadbd and mariadb-install-db."""

from __future__ import annotations

from labctl.doctor.installed import Programs
from labctl.doctor.model import Check, Group, Purpose

__all__ = ["CHECK"]

CHECK = Check(
    name="mariadbd",
    group=Group.LEGACY,
    order=30,
    reason="the tenants' networks",
    probe=Programs("mariadbd", "mariadb-install-db"),
    needed=frozenset({Purpose.PARIS, Purpose.TESTS}),
    packages=("mariadb-server-core", "mariadb-client-core"),
)
