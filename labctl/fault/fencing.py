"""Fencing: the power of a node is cut because another node's cluster manager asks for it.

Nothing in a lab reaches the machine that it runs on. So it is the other way round: the fence agent of
a node writes down in that node which one it wants dark (an empty file ``FOLDER/NODE``), and waits;
labctl looks there, cuts the power, and puts ``FOLDER/NODE.off`` beside it. A node without power
already is confirmed at once: that is what the agent waits for.
"""

from __future__ import annotations

import time
from dataclasses import replace
from typing import TYPE_CHECKING

from labctl.errors import ActionError
from labctl.events import now_ns
from labctl.fault.ends import known_node
from labctl.fault.power import power_off
from labctl.fault.types import PowerMode

if TYPE_CHECKING:
    from labctl.events import Listener
    from labctl.fault.types import Effect
    from labctl.lab.runtime import Runtime
    from labctl.lab.state import LabDir

__all__ = ["ACTION", "FOLDER", "fence"]

ACTION = "fence"
FOLDER = "/run/labctl/fence"
_ASKED_S = 60.0
_POLL_S = 0.1
_LOOK_S = 5.0


def fence(runtime: Runtime, lab: LabDir, node: str, asker: str, listen: Listener) -> Effect:
    """Wait until a node asks for another one to be fenced, cut that one's power, and say so.

    Args:
        runtime: that runs the lab.
        lab: the lab.
        node: to be dark in the end.
        asker: node whose cluster manager asks.
        listen: gets ``node.stopped`` if the node had power.

    Returns:
        The effect of the power-off. ``detail``, besides: ``asker``; ``asked_ns``: when the request was
        seen; ``told_ns``: when the asker had been told.

    Raises:
        ActionError: no such node; nobody asked within 60 s; no peer saw the carrier go; or the
            asker could not be told.
    """
    known_node(lab, node)
    known_node(lab, asker)
    asked = _wait(runtime, lab, node, asker)
    effect = power_off(runtime, lab, node, PowerMode.CUT, listen)
    done = runtime.exec(lab, asker, ["touch", f"{FOLDER}/{node}.off"], timeout_s=_LOOK_S)
    if not done.ok:
        raise ActionError(f"{asker} could not be notified that {node} is off: {_said(done.stderr)}")
    detail = {**effect.detail, "asker": asker, "asked_ns": asked, "told_ns": now_ns()}
    return replace(effect, action=ACTION, detail=detail)


def _wait(runtime: Runtime, lab: LabDir, node: str, asker: str) -> int:
    end = time.monotonic() + _ASKED_S
    while not runtime.exec(lab, asker, ["test", "-e", f"{FOLDER}/{node}"], timeout_s=_LOOK_S).ok:
        if time.monotonic() > end:
            raise ActionError(f"{asker} did not ask for {node} to be fenced within {_ASKED_S:g} s")
        time.sleep(_POLL_S)
    return now_ns()


def _said(text: bytes) -> str:
    return text.decode(errors="replace").strip()
