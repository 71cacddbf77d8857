"""labctl power: the power of a node."""

import time
from contextlib import AbstractContextManager
from typing import Annotated

import typer

from labctl.cli.console import need_root, out, out_json, say
from labctl.cli.format_effect import as_json, as_lines
from labctl.cli.params import Force, Json, LabName, NodeName, Timeout
from labctl.fault.types import Effect, PowerMode

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
    with _changing(lab, "power-off", node, force):
        _show([_off(lab, node, mode)], json)


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
    with _changing(lab, "power-on", node, force):
        _show([_on(lab, node, timeout if wait else 0.0)], json)


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
    with _changing(lab, "power-cycle", node, force):
        try:
            went = _off(lab, node, mode)
            time.sleep(off_for)
        except KeyboardInterrupt:
            # Wherever it came: on is right for a node that was on its way off, and harmless else.
            _on(lab, node, 0.0)
            raise
        _show([went, _on(lab, node, timeout if wait else 0.0)], json)


def _changing(lab: str, action: str, node: str, force: bool) -> AbstractContextManager[None]:
    from labctl.lab.lifecycle import open_lab
    from labctl.lab.reservation import changing

    return changing(open_lab(lab)[1], action, node, force=force)


def _off(lab: str, node: str, mode: PowerMode) -> Effect:
    from labctl.events import silent
    from labctl.fault.power import power_off
    from labctl.lab.lifecycle import open_lab

    runtime, lab_dir = open_lab(lab)
    return power_off(runtime, lab_dir, node, mode, silent)


def _on(lab: str, node: str, wait_s: float) -> Effect:
    from labctl.events import silent
    from labctl.fault.power import power_on
    from labctl.lab.lifecycle import open_lab, wait_ready

    runtime, lab_dir = open_lab(lab)
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
