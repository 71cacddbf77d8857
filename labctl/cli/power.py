"""labctl power: the power of a node."""

import time
from typing import TYPE_CHECKING, Annotated

import typer

from labctl.cli.console import need_root, out, out_json, say
from labctl.cli.format_effect import as_json, as_lines
from labctl.cli.params import Force, Json, LabName, NodeName, Timeout
from labctl.cli.resolve import changing_lab
from labctl.fault.types import Effect, PowerMode

if TYPE_CHECKING:
    from labctl.lab.runtime import Runtime
    from labctl.lab.state import LabDir

    Opened = tuple[Runtime, LabDir]

__all__ = ["app"]

app = typer.Typer(help="Cut the power of a node, or restore it.")

Mode = Annotated[
    PowerMode,
    typer.Option(
        "--mode",
        metavar="cut|graceful|freeze",
        help="cut: all links lose carrier at once, all processes are killed. "
        "graceful: the node's stop program runs first. "
        "freeze: processes stop, carrier stays.",
    ),
]
Wait = Annotated[bool, typer.Option("--wait/--no-wait", help="Wait until the node is ready again.")]


@app.command("off")
def off(
    lab: LabName,
    node: NodeName,
    *,
    mode: Mode = PowerMode.CUT,
    force: Force = False,
    json: Json = False,
) -> None:
    """Cut the power of a node.

    Prints the moment at which each peer lost carrier, and the window that holds all these moments.
    """
    need_root("acting on a node")
    with changing_lab(lab, "power-off", node, force=force) as opened:
        _show([_off(opened, node, mode)], json)


@app.command("on")
def on(
    lab: LabName,
    node: NodeName,
    *,
    wait: Wait = True,
    timeout: Timeout = 60.0,
    force: Force = False,
    json: Json = False,
) -> None:
    """Restore the power of a node.

    The node keeps its links and boots from its rendered configuration.
    """
    need_root("acting on a node")
    with changing_lab(lab, "power-on", node, force=force) as opened:
        _show([_on(opened, node, timeout if wait else 0.0)], json)


@app.command("cycle")
def cycle(
    lab: LabName,
    node: NodeName,
    *,
    mode: Mode = PowerMode.CUT,
    off_for: Annotated[
        float, typer.Option("--for", metavar="SECONDS", min=0.0, help="Time that the node stays off.")
    ] = 2.0,
    wait: Wait = True,
    timeout: Timeout = 60.0,
    force: Force = False,
    json: Json = False,
) -> None:
    """Cut the power of a node and restore it.

    Ctrl-C also restores the power.
    """
    need_root("acting on a node")
    with changing_lab(lab, "power-cycle", node, force=force) as opened:
        try:
            went = _off(opened, node, mode)
            time.sleep(off_for)
        except KeyboardInterrupt:
            # Wherever it came: on is right for a node that was on its way off, and harmless else.
            _on(opened, node, 0.0)
            raise
        _show([went, _on(opened, node, timeout if wait else 0.0)], json)


def _off(opened: "Opened", node: str, mode: PowerMode) -> Effect:
    from labctl.events import silent
    from labctl.fault.power import power_off

    return power_off(*opened, node, mode, silent)


def _on(opened: "Opened", node: str, wait_s: float) -> Effect:
    from labctl.events import silent
    from labctl.fault.power import power_on
    from labctl.lab.lifecycle import wait_ready

    runtime, lab_dir = opened
    effect = power_on(runtime, lab_dir, node, silent)
    if wait_s:
        begin = time.monotonic()
        wait_ready(runtime, lab_dir, [node], wait_s, silent)
        say(f"{node} is ready again after {time.monotonic() - begin:.1f} s")
    return effect


def _show(effects: list[Effect], json: bool) -> None:
    if json:
        out_json([as_json(effect) for effect in effects] if len(effects) > 1 else as_json(effects[0]))
        return
    for effect in effects:
        for line in as_lines(effect):
            out(line)
