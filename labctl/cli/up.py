"""labctl up: bring a lab up."""

import time
from typing import Annotated

import typer

from labctl import signals
from labctl.cli.console import need_root, out_json, say
from labctl.cli.params import Json, LabFile, RuntimeName, Sets, Templates, Timeout
from labctl.cli.progress import watching
from labctl.cli.resolve import planned_nodes
from labctl.lab.state import LabDir

__all__ = ["command"]


def command(
    topology: LabFile,
    *,
    runtime: RuntimeName = "auto",
    name: Annotated[
        str | None,
        typer.Option("--name", metavar="LAB", help="Name of the lab; the topology's name if not given."),
    ] = None,
    set_: Sets = None,
    templates: Templates = None,
    timeout: Timeout = 120.0,
    json: Json = False,
) -> None:
    """Bring a lab up and wait until every node is ready.

    If a node does not start or is not ready in time, labctl takes the whole lab down again.
    """
    need_root("creating nodes and links")
    from labctl.lab.lifecycle import bring_up
    from labctl.lab.loaded import load_lab_file

    begin = time.monotonic()
    with signals.held(), watching("loading") as (listen, progress):
        with signals.released():
            loaded = load_lab_file(topology, name=name, sets=set_ or (), templates=templates or ())
        lab = bring_up(loaded, runtime=runtime, timeout_s=timeout, listen=listen)
        signals.done()  # the lab is up: 130 would say that it is not
    seconds = time.monotonic() - begin
    if json:
        from labctl.cli.status import describe

        out_json({**describe(lab.name), "seconds": round(seconds, 3)})
        return
    nodes = list(progress.nodes)
    victim = _victim(lab) or (nodes[-1] if nodes else "NODE")
    say(f"{lab.name} is up on {lab.record().runtime}: {len(nodes)} nodes ready in {seconds:.1f} s")
    if runtime == "auto":
        say(f"  ({lab.record().runtime}, because {progress.reason})")
    for line in (
        f"labctl status {lab.name}",
        f"labctl exec {lab.name} {nodes[0] if nodes else 'NODE'} -- ip route",
        f"labctl power off {lab.name} {victim}",
        f"labctl down {lab.name}",
    ):
        say(f"  {line}")


def _victim(lab: LabDir) -> str:
    """A node whose loss is worth a try: a gateway, else a router that is no host's only way."""
    nodes = planned_nodes(lab).values()
    gateways = [node for node in nodes if node.role == "gateway"]
    routers = [node for node in nodes if node.role == "router"]
    inner = [node for node in routers if all(port.peer_role != "host" for port in node.interfaces)]
    worth = gateways or inner or routers
    return worth[0].name if worth else ""
