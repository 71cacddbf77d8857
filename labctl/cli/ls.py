"""labctl ls: the labs of this machine."""

import time

from labctl.cli.console import out, out_json, say, table
from labctl.cli.params import Json
from labctl.errors import LabNotFoundError
from labctl.lab.state import LabDir, labs

__all__ = ["command"]


def command(json: Json = False) -> None:
    """List the labs of this machine.

    The list includes incomplete labs that a killed labctl left behind; labctl down removes them.
    """
    found = [_row(lab) for lab in labs()]
    if json:
        out_json(found)
    elif found:
        cells = [[str(row[key]) for key in ("lab", "runtime", "phase", "age", "topology")] for row in found]
        out(table(["LAB", "RUNTIME", "PHASE", "AGE", "TOPOLOGY"], cells))
    else:
        say("no lab runs on this machine")


def _row(lab: LabDir) -> dict[str, str | float]:
    try:
        record = lab.record()
    except LabNotFoundError:
        return {
            "lab": lab.name,
            "runtime": "?",
            "phase": "broken",
            "age": "?",
            "topology": "?",
            "created_s": 0.0,
        }
    return {
        "lab": lab.name,
        "runtime": record.runtime,
        "phase": record.phase,
        "age": _age(time.time() - record.created_s),
        "topology": record.topology,
        "created_s": record.created_s,
    }


def _age(seconds: float) -> str:
    for unit, size in (("d", 86400), ("h", 3600), ("m", 60)):
        if seconds >= size:
            return f"{seconds / size:.0f}{unit}"
    return f"{max(seconds, 0):.0f}s"
