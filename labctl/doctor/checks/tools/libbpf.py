"""The library libbpf."""

from __future__ import annotations

import ctypes

from labctl.doctor.model import Check, Group, Purpose
from labctl.linux.features import LackingError

__all__ = ["CHECK"]

_NAME = "libbpf.so.1"


def _libbpf() -> str:
    try:
        ctypes.CDLL(_NAME)
    except OSError as error:
        raise LackingError(f"no {_NAME}") from error
    return _NAME


CHECK = Check(
    name="libbpf",
    group=Group.TOOLS,
    order=130,
    reason="loading the overlay's flow cache into the kernel",
    probe=_libbpf,
    needed=frozenset({Purpose.OVERLAY, Purpose.TESTS}),
    packages=("libbpf1",),
)
