"""The settings of routing that nodes have."""

from __future__ import annotations

from pathlib import Path

from labctl.doctor.kernel import needed_feature
from labctl.linux.features import LackingError, in_new_namespace

__all__ = ["CHECK"]

_NAMES = (
    "ipv4/conf/all/ignore_routes_with_linkdown",
    "ipv6/conf/all/ignore_routes_with_linkdown",
    "ipv4/fib_multipath_hash_policy",
    "ipv6/fib_multipath_hash_policy",
)


def _sysctls() -> str:
    in_new_namespace(_look)
    return "there"


def _look() -> None:
    lacking = [name for name in _NAMES if not (Path("/proc/sys/net") / name).exists()]
    if lacking:
        raise LackingError("no " + ", ".join(lacking))


CHECK = needed_feature(
    name="sysctls of routing",
    order=70,
    reason="a lost link takes its routes at once; flows keep to their path",
    probe=_sysctls,
)
