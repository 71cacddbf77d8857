"""Link ends of a node that drop everything in silence, in both directions, while their carrier stays.

By nftables' netdev family: ingress before the stack sees a packet, egress (kernel 5.16 or later)
before the wire does. What captures at that end is told of dropped arrivals all the same.
"""

from __future__ import annotations

import os
import subprocess
from typing import TYPE_CHECKING

from labctl.errors import ActionError
from labctl.runtime.embedded.nsenter import program

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["close", "open_again"]

_TIMEOUT_S = 10.0


def close(netns: Path, *interfaces: str) -> None:
    """Drop everything at all of these, from one moment on; again is no error.

    Raises:
        ActionError: the kernel would not.
    """
    _nft(netns, "".join(_closed(interface) for interface in interfaces))


def open_again(netns: Path, *interfaces: str) -> None:
    """Let everything pass again, at all of these at once; again is no error.

    Raises:
        ActionError: the kernel would not.
    """
    tables = [_table(interface) for interface in interfaces]
    _nft(netns, "".join(f"table netdev {table}\ndelete table netdev {table}\n" for table in tables))


def _closed(interface: str) -> str:
    table = _table(interface)
    chains = "\n".join(
        f'chain {hook} {{ type filter hook {hook} device "{interface}" priority -500; policy drop; }}'
        for hook in ("ingress", "egress")
    )
    return f"table netdev {table}\ndelete table netdev {table}\ntable netdev {table} {{\n{chains}\n}}\n"


def _table(interface: str) -> str:
    """A name of nft's own alphabet."""
    return f"labctl_{interface.encode().hex()}"


def _nft(netns: Path, script: str) -> None:
    """Hand a script to nft on stdin; interface names in it are of the definition's alphabet."""
    try:
        done = subprocess.run(
            [program("nsenter"), f"--net={os.fspath(netns)}", "--", program("nft"), "-f", "-"],
            input=script.encode(),
            capture_output=True,
            check=False,
            timeout=_TIMEOUT_S,
        )
    except subprocess.TimeoutExpired:
        raise ActionError(f"nft did not end within {_TIMEOUT_S:g} s") from None
    if done.returncode:
        raise ActionError(f"nft failed: {done.stderr.decode(errors='replace').strip()}")
