"""labctl link: the links of a running lab."""

from typing import Annotated

import typer

from labctl.cli.console import need_root, out, out_json
from labctl.cli.format_effect import as_json, as_lines
from labctl.cli.params import Force, Json, LabName, node_names
from labctl.cli.resolve import changing_lab

__all__ = ["app"]

app = typer.Typer(help="Cut a link, or restore it.")

EndA = Annotated[
    str,
    typer.Argument(
        metavar="A",
        help="A node, or node:interface if several links connect the two nodes.",
        autocompletion=node_names,
    ),
]
EndB = Annotated[
    str, typer.Argument(metavar="B", help="The other end, in the same form.", autocompletion=node_names)
]


@app.command("cut")
def cut(lab: LabName, a: EndA, b: EndB, *, force: Force = False, json: Json = False) -> None:
    """Cut a link.

    Both ends lose carrier; interfaces and addresses stay.
    """
    _act("cut", lab, (a, b), force=force, json=json)


@app.command("restore")
def restore(lab: LabName, a: EndA, b: EndB, *, force: Force = False, json: Json = False) -> None:
    """Restore a link that was cut or blackholed."""
    _act("restore", lab, (a, b), force=force, json=json)


@app.command("blackhole")
def blackhole(lab: LabName, a: EndA, b: EndB, *, force: Force = False, json: Json = False) -> None:
    """Drop all packets on a link, keeping carrier up.

    A silent failure: only a liveness protocol such as BFD detects it.
    """
    _act("blackhole", lab, (a, b), force=force, json=json)


def _act(action: str, lab: str, ends: tuple[str, str], *, force: bool, json: bool) -> None:
    need_root("acting on a link")
    from labctl.events import silent
    from labctl.fault import link

    with changing_lab(lab, f"link-{action}", " ".join(ends), force=force) as opened:
        effect = getattr(link, f"{action}_link")(*opened, *ends, silent)
    if json:
        out_json(as_json(effect))
        return
    for line in as_lines(effect):
        out(line)
