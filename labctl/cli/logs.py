"""labctl logs: what a node wrote."""

import sys

from labctl.cli.params import LabName, NodeName

__all__ = ["command"]


def command(lab: LabName, node: NodeName) -> None:
    """Print what a node wrote since it last booted.

    Prints stdout and stderr of the node's first process, in the order in which they were written.
    """
    from labctl.lab.lifecycle import open_lab

    runtime, lab_dir = open_lab(lab)
    sys.stdout.flush()
    sys.stdout.buffer.write(runtime.logs(lab_dir, node))
    sys.stdout.buffer.flush()
