"""labctl up: bring a lab up."""

import time
from typing import TYPE_CHECKING, Annotated

import typer

from labctl import signals
from labctl.cli.console import need_root, out_json, say, warn
from labctl.cli.params import Json, LabFile, RuntimeName, Sets, Templates, Timeout
from labctl.cli.progress import watching

if TYPE_CHECKING:
    from labctl.clab.definition import Definition

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
            warn(loaded.warnings)
        lab = bring_up(loaded, runtime=runtime, timeout_s=timeout, listen=listen)
        signals.done()  # the lab is up: 130 would say that it is not
    seconds = time.monotonic() - begin
    from labctl.lab.definition_cache import definition_of

    if json:
        from labctl.cli.status import describe

        out_json({**describe(lab.name), "seconds": round(seconds, 3)})
        return
    nodes = list(progress.nodes)
    victim = _victim(definition_of(lab)) or (nodes[-1] if nodes else "NODE")
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


def _victim(definition: "Definition") -> str:
    """A node whose loss is worth a try: a gateway, else a router that is no end system's only way."""
    from labctl.clab import labels
    from labctl.model.topology import Behaviour

    end_systems = {node.name for node in definition.nodes if labels.is_end_system(node)}
    routers = [node.name for node in definition.nodes if labels.forwards(node)]
    gateways = [node.name for node in definition.nodes if labels.acts_as(node) is Behaviour.GATEWAY]
    linked = [{link.a.node, link.b.node} for link in definition.links]
    at_the_edge = {name for pair in linked if pair & end_systems for name in pair}
    worth = gateways or [name for name in routers if name not in at_the_edge] or routers
    return worth[0] if worth else ""
