"""labctl status: what the nodes of a lab do, and which faults are in force."""

from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from labctl.clab import labels
from labctl.clab.definition import NodeDefinition
from labctl.cli.console import out, out_json, say, table
from labctl.cli.params import Json, LabOrFile
from labctl.cli.resolve import lab_of, planned_nodes
from labctl.lab.runtime import NodeState, NodeStatus, Runtime
from labctl.lab.state import LabDir

__all__ = ["command", "describe"]

AT_ONCE = 16


def command(lab: LabOrFile = None, json: Json = False) -> int:
    """Show the nodes of a lab and the faults in force.

    Queries the readiness of every running node. Without root what they do is unknown (exit code 2).
    """
    told = describe(lab)
    _show(told, json=json)
    if all(node["status"] != NodeStatus.UNKNOWN for node in told["nodes"]):
        return 0
    say(f"labctl: what the nodes do is seen by root alone: sudo labctl status {told['lab']}")
    return 2


def _show(told: dict[str, Any], *, json: bool) -> None:
    if json:
        out_json(told)
        return
    out(f"lab {told['lab']} on {told['runtime']}, {told['phase']}, from {told['topology']}")
    out("")
    rows = [_row(node) for node in told["nodes"]]
    out(table(["NODE", "ROLE", "STATUS", "READY", "IPV4", "IPV6"], rows))
    out("")
    for fault in told["faults"]:
        out(f"fault: {fault['action']} {fault['target']}")
    if not told["faults"]:
        out("no fault is in force")


def describe(name_or_topology: str | None) -> dict[str, Any]:
    """Everything that is known of a lab, in plain JSON values.

    Raises:
        LabNotFoundError: no such lab.
    """
    from labctl.lab.definition_cache import definition_of
    from labctl.lab.lifecycle import open_lab

    runtime, lab = open_lab(lab_of(name_or_topology).name)
    record = lab.record()
    states = runtime.states(lab)
    specs = {spec.name: spec for spec in definition_of(lab).nodes}
    plan = planned_nodes(lab)
    lacking = _lacking(runtime, lab, states, specs)
    nodes = []
    for node, state in states.items():
        planned = plan.get(node)
        spec = specs.get(node)
        nodes.append(
            {
                "node": node,
                "role": spec.labels.get(labels.ROLE, spec.kind) if spec else "",
                "status": state.status.value,
                "pid": state.init_pid,
                "ready": not lacking[node],
                "lacks": lacking[node],
                "ipv4": str(planned.loopback4) if planned and planned.loopback4 else None,
                "ipv6": str(planned.loopback6) if planned and planned.loopback6 else None,
                "asn": planned.asn if planned else None,
            }
        )
    return {
        "lab": lab.name,
        "runtime": record.runtime,
        "phase": record.phase,
        "topology": record.topology,
        "definition": record.definition,
        "created_s": record.created_s,
        "nodes": nodes,
        "faults": _faults(lab),
    }


def _lacking(
    runtime: Runtime, lab: LabDir, states: Mapping[str, NodeState], specs: Mapping[str, NodeDefinition]
) -> dict[str, str]:
    """What each node lacks to be ready, in one line; empty where nothing."""
    from labctl.lab.readiness import not_ready_reason

    def ask(node: str) -> str:
        if states[node].status != NodeStatus.RUNNING:
            return states[node].status.value
        knows = node in specs and specs[node].labels.get("labctl-ready") == "1"
        return not_ready_reason(runtime, lab, node, ask=knows)

    with ThreadPoolExecutor(AT_ONCE) as pool:
        return dict(zip(states, pool.map(ask, states), strict=True))


def _row(node: dict[str, Any]) -> list[str]:
    ready = "yes" if node["ready"] else f"no: {node['lacks']}"
    return [node["node"], node["role"], node["status"], ready, node["ipv4"] or "-", node["ipv6"] or "-"]


def _faults(lab: LabDir) -> list[dict[str, Any]]:
    from labctl.fault import faults

    return [{"action": fault.action, "target": fault.target, **fault.detail} for fault in faults(lab)]
