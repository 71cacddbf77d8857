"""labctl bundle: one file to attach to a bug report."""

from pathlib import Path
from typing import Annotated

import typer

from labctl.cli.console import need_root, say
from labctl.cli.params import LabName

__all__ = ["command"]


def command(
    lab: LabName,
    out: Annotated[
        Path | None,
        typer.Option("--out", "-o", metavar="FILE", help="Write the bundle here. Default: LAB-bundle.tar.gz"),
    ] = None,
) -> None:
    """Write one file to attach to a bug report: definition, logs, state of every node.

    Also holds versions, the machine and the faults in force; logs and files up to 1 MiB each. Values
    whose name says that they are secret are left out. Read the bundle before you send it.
    """
    from labctl.fault import faults
    from labctl.lab.bundle import archive, bundle_files
    from labctl.lab.lifecycle import open_lab
    from labctl.output_file import write_output
    from labctl.scenario.facts import machine, versions

    need_root("reading the nodes of a lab")
    runtime, folder = open_lab(lab)
    in_force = [{"action": fault.action, "target": fault.target} for fault in faults(folder)]
    about = {"machine": machine(), "versions": versions(), "faults": in_force}
    path = out or Path(f"{folder.name}-bundle.tar.gz")
    write_output(path, archive(f"{folder.name}-bundle", bundle_files(runtime, folder, about)))
    say(f"bundle: {path}")
