"""Undoes every fault in force, the latest first, from any process: the registry has them all."""

from __future__ import annotations

from typing import TYPE_CHECKING

from labctl.errors import ActionError, LabctlError
from labctl.fault import link, power, process
from labctl.fault.registry import Fault, faults

if TYPE_CHECKING:
    from labctl.events import Listener
    from labctl.fault.types import Effect
    from labctl.lab.runtime import Runtime
    from labctl.lab.state import LabDir

__all__ = ["undo", "undo_all"]


def undo_all(runtime: Runtime, lab: LabDir, listen: Listener) -> tuple[Effect, ...]:
    """Undo every fault, the latest first. One that cannot be undone does not keep the others from it.

    Returns:
        What each undoing did, in that order.

    Raises:
        ActionError: some could not be undone; names each with its reason.
    """
    done: list[Effect] = []
    failed: list[str] = []
    # Guests last: power comes back to them with their host, and their own fault is gone by then.
    latest_first = faults(lab)[::-1]
    for fault in sorted(latest_first, key=lambda fault: "host" in fault.detail):
        if "host" in fault.detail and fault not in faults(lab):
            continue
        try:
            done.append(undo(runtime, lab, fault, listen))
        except (LabctlError, OSError) as error:
            failed.append(f"{fault.action} of {fault.target} could not be undone: {error}")
    if failed:
        raise ActionError("\n".join(failed))
    return tuple(done)


def undo(runtime: Runtime, lab: LabDir, fault: Fault, listen: Listener) -> Effect:
    """Undo one fault.

    Raises:
        ActionError: it is none of ours, or will not go.
    """
    if fault.action == power.ACTION:
        return power.power_on(runtime, lab, fault.target, listen)
    if fault.action == link.NODE_BLACKHOLE:
        return link.restore_node(runtime, lab, fault.target, listen)
    if fault.action == process.STOP:
        where, name = str(fault.detail["node"]), str(fault.detail["process"])
        return process.continue_process(runtime, lab, where, name, listen)
    if fault.action in (link.CUT, link.BLACKHOLE):
        a, b = fault.detail["ends"]
        return link.restore_link(runtime, lab, a, b, listen)
    raise ActionError(f"cannot undo {fault.action}: unsupported action")
