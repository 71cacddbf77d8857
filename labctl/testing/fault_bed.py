"""A running lab on a kernel in memory, for tests of faults, and what is looked at in it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from labctl.fault.registry import faults

if TYPE_CHECKING:
    from pathlib import Path

    from labctl.lab.state import LabDir
    from labctl.testing.kernel import FakeKernel, KernelRuntime

__all__ = ["Bed"]


@dataclass
class Bed:
    """A running lab and what faults do to it.

    Attributes:
        closed: interfaces that drop packets now, by the number of their namespace, with where they do.
        put_back: static routes that were set again, a list a call.
        dropped: namespaces whose orphan sockets were dropped.
    """

    lab: LabDir
    runtime: KernelRuntime
    closed: dict[tuple[int, str], tuple[str, ...]] = field(default_factory=dict)
    put_back: list[list[str]] = field(default_factory=list)
    dropped: list[Path] = field(default_factory=list)

    @property
    def kernel(self) -> FakeKernel:
        """What the runtime's nodes run on."""
        return self.runtime.kernel

    @property
    def in_force(self) -> list[str]:
        """The registry, as ``action target``."""
        return [f"{fault.action} {fault.target}" for fault in faults(self.lab)]

    def hole(self, end: str) -> bool:
        """Whether an interface, such as ``a:x1``, drops everything."""
        return set(self.drops(end)) == {"ingress", "egress"}

    def drops(self, end: str) -> tuple[str, ...]:
        """Where an interface, such as ``a:x1``, drops packets."""
        return self.closed.get((self.kernel.holder(end), end.partition(":")[2]), ())
