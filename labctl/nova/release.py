"""Removes everything that the controller made on this node: for a controller that is no longer active.

``labctl-python -m labctl.nova.release SETTINGS.json``. Rules of others stay.
"""

from __future__ import annotations

import contextlib
import os
import re
import signal
import subprocess
import sys
from pathlib import Path

from labctl.nova.l3 import METADATA_ADDRESS
from labctl.nova.rules import OWNER
from labctl.nova.settings import load_settings

__all__ = ["main", "without_ours"]

_MADE = re.compile(r"(vlan|br)\d+\Z")


def without_ours(saved: str) -> str:
    """A saved rule set without the controller's chains and rules."""
    return "\n".join(
        line for line in saved.splitlines() if OWNER not in line and not re.search(r"\bnova-[a-z]+-", line)
    )


def main() -> int:
    """End every dnsmasq, take interfaces and rules away."""
    settings = load_settings(Path(sys.argv[1]))
    for file in settings.state.glob("networks/*.pid"):
        with contextlib.suppress(OSError, ValueError):
            os.kill(int(file.read_text()), signal.SIGTERM)
        file.unlink(missing_ok=True)
    names = [name for name in os.listdir("/sys/class/net") if _MADE.match(name)]  # noqa: PTH208 - names only
    lines = "".join(f"link delete dev {name}\n" for name in names)
    lines += f"address delete {METADATA_ADDRESS} dev lo\n"
    subprocess.run(["ip", "-force", "-batch", "-"], input=lines, text=True, check=False)
    saved = subprocess.run(["iptables-save", "-c"], capture_output=True, text=True, check=True).stdout
    if OWNER in saved:
        text = without_ours(saved) + "\n"
        subprocess.run(["iptables-restore", "-c"], input=text, text=True, check=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
