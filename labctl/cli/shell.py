"""labctl shell: a shell in a node."""

from labctl.cli.console import need_root
from labctl.cli.exec import run_inside
from labctl.cli.params import LabName, NodeName

__all__ = ["command"]


def command(lab: LabName, node: NodeName) -> int:
    """Open a shell in a node.

    The shell is bash if the node has it, else sh. In a router, vtysh opens FRR's own shell.
    """
    need_root("entering a node")
    # Two words of a constant script: nothing of the user's goes into it.
    return run_inside(lab, node, ["sh", "-c", "command -v bash >/dev/null && exec bash; exec sh"])
