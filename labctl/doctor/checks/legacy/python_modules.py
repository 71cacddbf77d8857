"""The Python modules that the legacy controllers import."""

from __future__ import annotations

from labctl.doctor.installed import Modules
from labctl.doctor.model import Check, Group, Purpose

__all__ = ["CHECK"]

CHECK = Check(
    name="Python modules",
    group=Group.LEGACY,
    order=100,
    reason="controllers speak with database and queue, and run commands through oslo.rootwrap",
    probe=Modules("pymysql", "pika", "oslo_rootwrap"),
    needed=frozenset({Purpose.PARIS, Purpose.TESTS}),
    fix="pip install 'labctl-testbed[paris]'",
)
