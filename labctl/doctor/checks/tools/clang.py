"""The programs clang and llvm-strip."""

from __future__ import annotations

from labctl.doctor.installed import Programs
from labctl.doctor.model import CheckGroup, MachineCheck, Purpose

__all__ = ["CHECK"]

CHECK = MachineCheck(
    name="clang",
    group=CheckGroup.TOOLS,
    order=140,
    reason="compiling the overlay's flow cache, once",
    probe=Programs("clang", "llvm-strip"),
    needed=frozenset({Purpose.OVERLAY, Purpose.TESTS}),
    packages=("clang", "llvm", "libbpf-dev", "linux-libc-dev"),
)
