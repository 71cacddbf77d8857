"""The time to the first reply of a new flow, by ping in a node."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from labctl.errors import ActionError

if TYPE_CHECKING:
    from labctl.lab.runtime import Runtime
    from labctl.lab.state import LabDir

__all__ = ["first_reply", "read_answer"]

SPACING_MS = 10
"""Between two requests: the answer to the first that is answered tells the time to within this."""

_ANSWER = re.compile(rb"icmp_seq=(\d+) .*time=([\d.]+) ms")
_STARTING_S = 5.0


def first_reply(runtime: Runtime, lab: LabDir, node: str, address: str, within_ns: int) -> int | None:
    """Ask an address from a node until it answers.

    Args:
        runtime: that runs the lab.
        lab: the lab.
        node: who asks. Each call is a flow of its own: ping draws another identifier.
        address: IPv4, in text.
        within_ns: for how long it is asked.

    Returns:
        Nanoseconds from the first request to the first reply, known to 10 ms where the first
        request itself was lost; None if there was no answer.

    Raises:
        ActionError: the node is off or missing, or ping does not run there.
    """
    deadline = max(1, -(-within_ns // 1_000_000_000))
    argv = ["ping", "-n", "-c", "1", "-i", f"{SPACING_MS / 1000:g}", "-w", str(deadline), address]
    result = runtime.exec(lab, node, argv, timeout_s=deadline + _STARTING_S)
    answer = read_answer(result.stdout)
    if answer is None and result.code > 1:
        raise ActionError(f"{node}: ping: {result.stderr.decode(errors='replace').strip()}")
    return answer


def read_answer(text: bytes) -> int | None:
    """What ping has printed -> nanoseconds to the first reply, or None."""
    found = _ANSWER.search(text)
    if found is None:
        return None
    return int((int(found[1]) - 1) * SPACING_MS * 1_000_000 + float(found[2]) * 1_000_000)
