"""Faults on a running lab: power, links, processes. Knows namespaces and nodes; never scenarios, verdicts.

The room records each fault in the registry before the fault takes effect, so that any process can undo it.
"""

from labctl.fault.fencing import fence
from labctl.fault.flap import flap_link
from labctl.fault.link import blackhole_link, blackhole_node, cut_link, restore_link, restore_node
from labctl.fault.power import power_off, power_on
from labctl.fault.process import kill_process
from labctl.fault.registry import Fault, faults
from labctl.fault.types import CarrierChange, Effect, PowerMode
from labctl.fault.undo import undo_all

__all__ = [
    "CarrierChange",
    "Effect",
    "Fault",
    "PowerMode",
    "blackhole_link",
    "blackhole_node",
    "cut_link",
    "faults",
    "fence",
    "flap_link",
    "kill_process",
    "power_off",
    "power_on",
    "restore_link",
    "restore_node",
    "undo_all",
]
