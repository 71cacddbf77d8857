"""Gives every router an ECMP hash seed of its own.

All namespaces of a machine choose among equal-cost next hops with the same hash, so the second router on a
path would choose as the first router did, and half of its paths would never be used (ECMP polarisation).
Real routers differ, and so do these: each seed is made of the node's name and is the same in every run. A
container cannot set the seed (its /proc/sys is read-only, and not every kernel has the setting), so it
is set from outside, for every runtime.
"""

from __future__ import annotations

import contextlib
import zlib
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from labctl.errors import ActionError
from labctl.linux.netns import inside

if TYPE_CHECKING:
    from collections.abc import Iterable

    from labctl.lab.runtime import Runtime
    from labctl.lab.state import LabDir

__all__ = ["SETTING", "hash_seed", "set_ecmp_seeds"]

SETTING = Path("/proc/sys/net/ipv4/fib_multipath_hash_seed")
"""Of the namespace of whoever opens it; Linux 6.11 and later. It serves IPv6 as well."""


def hash_seed(node: str) -> int:
    """The seed of a node: the CRC-32 of its name, never 0 (which is the machine's own seed)."""
    return zlib.crc32(node.encode()) or 1


def set_ecmp_seeds(runtime: Runtime, lab: LabDir, nodes: Iterable[str]) -> bool:
    """Give running nodes their seeds; False where this kernel has no such setting."""
    if not SETTING.exists():
        return False
    for node in nodes:
        seed = str(hash_seed(node))
        # A node that has ended already has no namespace: that it is not ready is told elsewhere.
        with contextlib.suppress(ActionError, FileNotFoundError):
            inside(runtime.netns(lab, node), partial(SETTING.write_text, seed))
    return True
