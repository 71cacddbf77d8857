"""Whether a lab that is up already may be used for a run: not while a fault is in force."""

from __future__ import annotations

from typing import TYPE_CHECKING

from labctl.errors import LabError
from labctl.fault import faults
from labctl.lab.runtime import NodeStatus

if TYPE_CHECKING:
    from collections.abc import Iterator

    from labctl.lab.runtime import Runtime
    from labctl.lab.state import LabDir

__all__ = ["refuse_faulty"]


def refuse_faulty(runtime: Runtime, lab: LabDir) -> None:
    """Refuse a lab in which something is already broken: its losses would be charged to the run.

    Raises:
        LabError: a fault is in force, or a node does not run; says how to heal each.
    """
    broken = list(dict.fromkeys(_broken(runtime, lab)))
    if broken:
        told = "; ".join(f"{what}: {cure}" for what, cure in broken)
        raise LabError(f"lab {lab.name!r} is not whole, and nothing was run on it: {told}")


def _broken(runtime: Runtime, lab: LabDir) -> Iterator[tuple[str, str]]:
    """What is broken, with the command that heals it."""
    dark = set()
    for fault in faults(lab):
        if fault.action == "power-off":
            dark.add(fault.target)
            host = str(fault.detail.get("host", "")) or fault.target
            yield f"{host} has no power", f"labctl power on {lab.name} {host}"
        elif "ends" in fault.detail:
            a, b = fault.detail["ends"]
            yield f"{fault.action} {a} {b} is in force", f"labctl link restore {lab.name} {a} {b}"
        else:
            yield f"{fault.action} {fault.target} is in force", f"labctl down {lab.name}, and up again"
    for node, state in runtime.states(lab).items():
        if state.status is not NodeStatus.RUNNING and node not in dark:
            yield f"{node} is {state.status.value}", f"labctl power on {lab.name} {node}"
