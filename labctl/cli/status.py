"""labctl status: what the nodes of a lab do, and which faults are in force."""

from concurrent.futures import ThreadPoolExecutor
from typing import Any

from labctl.cli.console import out, out_json, table
from labctl.cli.params import Json, LabOrFile
from labctl.cli.pick import lab_of, planned_nodes
from labctl.errors import LabctlError
from labctl.runtime.base import NodeStatus, Runtime
from labctl.runtime.definition import READY_PROGRAM
from labctl.runtime.state import LabDir

__all__ = ["command", "describe"]

AT_ONCE = 16
READY_TIMEOUT_S = 10.0


def command(lab: LabOrFile = None, json: Json = False) -> None:
    """Show the nodes of a lab and the faults in force.

    Asks every running node whether it is ready, now.
    """
    told = describe(lab)
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
    from labctl.runtime.labs import open_lab

    runtime, lab = open_lab(lab_of(name_or_topology).name)
    record = lab.record()
    states = runtime.states(lab)
    plan = planned_nodes(lab)
    roles = _labels(lab, record.definition)
    with ThreadPoolExecutor(AT_ONCE) as pool:
        readiness = dict(
            zip(states, pool.map(lambda node: _readiness(runtime, lab, node), states), strict=True)
        )
    nodes = []
    for node, state in states.items():
        planned = plan.get(node, {})
        ready, missing = (
            readiness[node] if state.status == NodeStatus.RUNNING else (False, state.status.value)
        )
        nodes.append(
            {
                "node": node,
                "role": planned.get("role") or roles.get(node, ""),
                "status": state.status.value,
                "pid": state.init_pid,
                "ready": ready,
                "missing": missing,
                "ipv4": planned.get("loopback4"),
                "ipv6": planned.get("loopback6"),
                "asn": planned.get("asn"),
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


def _row(node: dict[str, Any]) -> list[str]:
    ready = "yes" if node["ready"] else f"no: {node['missing']}"
    return [node["node"], node["role"], node["status"], ready, node["ipv4"] or "-", node["ipv6"] or "-"]


def _labels(lab: LabDir, definition: str) -> dict[str, str]:
    from labctl.runtime.parse import read_definition

    try:
        nodes = read_definition(lab.definition / definition).nodes
    except LabctlError:
        return {}
    return {node.name: node.labels.get("labctl-role", node.kind) for node in nodes}


def _readiness(runtime: Runtime, lab: LabDir, node: str) -> tuple[bool, str]:
    try:
        result = runtime.exec(lab, node, [READY_PROGRAM], timeout_s=READY_TIMEOUT_S)
    except LabctlError as error:
        return False, str(error)
    lines = (result.stdout or result.stderr).decode(errors="replace").strip().splitlines()
    return result.ok, "" if result.ok else (lines or [f"exit code {result.code}"])[0]


def _faults(lab: LabDir) -> list[dict[str, Any]]:
    return []
