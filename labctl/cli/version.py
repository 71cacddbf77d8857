"""labctl version: which labctl this is, and what it runs on."""

import platform
import sys
from pathlib import Path

from labctl.cli.console import out, out_json
from labctl.cli.params import Json

__all__ = ["command"]


def command(json: Json = False) -> None:
    """Print the versions of labctl and Python, and where they are.

    For a report of a bug. `labctl doctor` prints what the machine has beside them.
    """
    from labctl import __version__

    told = {
        "labctl": __version__,
        "package": str(Path(__file__).resolve().parents[1]),
        "python": platform.python_version(),
        "interpreter": sys.executable,
        "kernel": platform.release(),
        "machine": platform.machine(),
    }
    if json:
        out_json(told)
        return
    width = max(map(len, told))
    out("\n".join(f"{key.ljust(width)}  {value}" for key, value in told.items()))
