"""What a program may import: ``import labctl`` gives these names, each imported when it is first used.

The room's rule: it stands on the same parts as the command line and the scenario runner. It counts nothing,
puts no loss down to anything and judges nothing itself; what it says of a measurement is read from the result
that :mod:`labctl.verdict` makes of a journal.
"""

from __future__ import annotations

from labctl.api.calls import check_machine, load_result, open_lab, run, up
from labctl.api.errors import Inconclusive, NotMet
from labctl.api.fault import AppliedFault as Fault
from labctl.api.lab import RunningLab as Lab
from labctl.api.node import RunningNode as Node
from labctl.api.result import JudgedResult as Result
from labctl.api.traffic import MeasuredTraffic as Traffic
from labctl.errors import LabctlError
from labctl.verdict.comparison import Comparison
from labctl.verdict.schema import Verdict

__all__ = [
    "Comparison",
    "Fault",
    "Inconclusive",
    "Lab",
    "LabctlError",
    "Node",
    "NotMet",
    "Result",
    "Traffic",
    "Verdict",
    "check_machine",
    "load_result",
    "open",
    "run",
    "up",
]

open = open_lab  # noqa: A001 - as ``labctl.open`` it reads like the open() of other modules
