"""FRR: there, and not too old."""

from __future__ import annotations

import re
from pathlib import Path

from labctl.doctor.model import CheckGroup, MachineCheck, Purpose
from labctl.linux.features import LackingError, run

__all__ = ["CHECK"]

_DAEMONS = Path("/usr/lib/frr")
_OLDEST = (8, 4)


def _frr() -> str:
    lacking = [name for name in ("zebra", "bgpd", "bfdd", "staticd") if not (_DAEMONS / name).exists()]
    if lacking:
        raise LackingError(f"no {', '.join(lacking)} in {_DAEMONS}")
    said = run((str(_DAEMONS / "zebra"), "--version"))
    match = re.search(r"version (\d+)\.(\d+)\S*", said)
    if not match:
        raise LackingError("zebra does not tell its version")
    if (int(match[1]), int(match[2])) < _OLDEST:
        raise LackingError(f"{match[0]}, tried from 8.4 on", "a distribution with a newer FRR is needed")
    return match[0]


CHECK = MachineCheck(
    name="FRR",
    group=CheckGroup.TOOLS,
    order=40,
    reason="the routers: zebra, bgpd, bfdd and staticd as they run in production",
    probe=_frr,
    needed=frozenset({Purpose.EMBEDDED, Purpose.TESTS}),
    packages=("frr",),
)
