"""labctl down: take labs away."""

from typing import Annotated

import typer

from labctl.cli.console import need_root, say
from labctl.cli.params import Force, LabOrFile
from labctl.cli.progress import watching
from labctl.cli.resolve import lab_of
from labctl.errors import LabctlError, LabNotFoundError
from labctl.lab.state import LabDir, labs

__all__ = ["command"]


def command(
    lab: LabOrFile = None,
    every: Annotated[
        bool, typer.Option("--all", help="Take down every lab of this machine, incomplete ones too.")
    ] = False,
    force: Force = False,
) -> int:
    """Take labs down and leave nothing behind.

    labctl removes processes, containers, links, namespaces, mounts and state. It is no error if the
    lab does not exist, or if a killed labctl left it incomplete.
    """
    if every and lab is not None:
        raise typer.BadParameter("give a lab or --all, not both")
    need_root("removing nodes and links")
    if every:
        failed = [one.name for one in labs() if not _down_or_tell(one, force)]
        return 2 if failed else 0
    try:
        target = lab_of(lab)
    except LabNotFoundError as error:
        if lab is None:
            raise
        say(f"{error}: nothing to take down")
        return 0
    _down(target, force)
    return 0


def _down(lab: LabDir, force: bool) -> None:
    from labctl.lab.lifecycle import take_down
    from labctl.lab.reservation import changing

    with (
        changing(lab, "down", lab.name, force=force),
        watching("stopping", nodes=_running(lab)) as (listen, _),
    ):
        take_down(lab, listen)
    say(f"{lab.name} is down")


def _running(lab: LabDir) -> list[str]:
    """Names for the progress; none of a lab of which too little is left."""
    from labctl.lab.definition_cache import definition_of

    try:
        return [node.name for node in definition_of(lab).nodes]
    except LabctlError:
        return []


def _down_or_tell(lab: LabDir, force: bool) -> bool:
    try:
        _down(lab, force)
    except LabctlError as error:
        say(f"labctl: {lab.name}: {error}")
        return False
    return True
