"""Namespaces of every kind that a node has."""

from __future__ import annotations

from labctl.doctor.kernel import needed_feature
from labctl.doctor.model import Purpose
from labctl.linux.features import run

__all__ = ["CHECK"]


def _namespaces() -> str:
    run(("unshare", "--mount", "--pid", "--uts", "--ipc", "--net", "--fork", "true"))
    return "mount, pid, uts, ipc, net"


CHECK = needed_feature(
    name="namespaces",
    order=10,
    reason="a node is a set of them",
    probe=_namespaces,
    needed=frozenset({Purpose.EMBEDDED, Purpose.TESTS}),
)
