"""Silent failure of link ends: nftables drops every packet in both directions while carrier stays.

The rules are in nftables' netdev family: ingress before the network stack sees a packet, egress (kernel 5.16
or later) before the wire does. A capture at that end still sees the arrivals that are dropped.
"""

from __future__ import annotations

import os
import subprocess
from typing import TYPE_CHECKING

from labctl.errors import ActionError
from labctl.runtime.embedded.nsenter import program

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

__all__ = ["BOTH", "SENT", "close", "open_again"]

_TIMEOUT_S = 10.0


BOTH = ("ingress", "egress")
"""Where an end drops packets: those that it receives, and those that it sends."""

SENT = ("egress",)


def close(netns: Path, *interfaces: str, hooks: Sequence[str] = BOTH) -> None:
    """Drop every packet at all of these ends, from one moment on; repeating it is no error.

    Args:
        netns: where the ends are.
        interfaces: the ends.
        hooks: :data:`BOTH`, or :data:`SENT` to drop only what these ends send.

    Raises:
        ActionError: the kernel would not.
    """
    _nft(netns, "".join(_closed(interface, hooks) for interface in interfaces))


def open_again(netns: Path, *interfaces: str) -> None:
    """Let every packet pass again, at all of these ends at once; repeating it is no error.

    Raises:
        ActionError: the kernel would not.
    """
    tables = [_table(interface) for interface in interfaces]
    _nft(netns, "".join(f"table netdev {table}\ndelete table netdev {table}\n" for table in tables))


def _closed(interface: str, hooks: Sequence[str]) -> str:
    table = _table(interface)
    chains = "\n".join(
        f'chain {hook} {{ type filter hook {hook} device "{interface}" priority -500; policy drop; }}'
        for hook in hooks
    )
    return f"table netdev {table}\ndelete table netdev {table}\ntable netdev {table} {{\n{chains}\n}}\n"


def _table(interface: str) -> str:
    """A table name of characters that nft allows."""
    return f"labctl_{interface.encode().hex()}"


def _nft(netns: Path, script: str) -> None:
    """Run an nft script from stdin; its interface names were validated with the definition."""
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
