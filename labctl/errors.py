"""Every error that a user can meet.

The tree::

    LabctlError                 exit code 2, one clear line (or one line a problem)
     +- InputError              what the user wrote is wrong: carries every Problem at once
     +- HostError               this machine lacks something; the message names the fix
     +- LabError                the state of labs on this machine
     |   +- LabExistsError      a lab of that name is up (or going up) already
     |   +- LabNotFoundError    no lab of that name
     |   +- LabBusyError        another labctl is changing this lab
     +- RenderError             a template failed: names template, line and node
     +- NodeError               a node did not start or did not become ready
     +- ActionError             an action on a running lab failed (fault, exec, link)
     +- ProbeError              traffic could not be sent or received at all
     +- LabInterrupted          Ctrl-C or SIGTERM: healing is done, exit code 130
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = [
    "ActionError",
    "HostError",
    "InputError",
    "LabBusyError",
    "LabError",
    "LabExistsError",
    "LabInterrupted",
    "LabNotFoundError",
    "LabctlError",
    "NodeError",
    "ProbeError",
    "Problem",
    "RenderError",
]


@dataclass(frozen=True, slots=True, order=True)
class Problem:
    """One thing wrong in a user's file.

    Attributes:
        file: the path as the user gave it, or ``--set`` for the command line.
        line: 1-based; 0 where the whole file is meant.
        column: 1-based; 0 where the whole file is meant.
        message: what is wrong and what was expected, without a full stop.
        hint: the nearest valid name or the fix; empty if there is none.
    """

    file: str
    line: int
    column: int
    message: str
    hint: str = ""

    def __str__(self) -> str:
        where = f"{self.file}:{self.line}:{self.column}" if self.line else self.file
        return f"{where}: {self.message}" + (f" ({self.hint})" if self.hint else "")


class LabctlError(Exception):
    """The root of the tree. ``str(error)`` is what the user reads."""

    exit_code: ClassVar[int] = 2
    cause: ClassVar[str] = "labctl"
    """What failed, in a word: the journal's ``run.error``."""


class InputError(LabctlError):
    """What the user wrote is wrong; nothing was changed."""

    cause: ClassVar[str] = "input"

    def __init__(self, problems: Iterable[Problem]) -> None:
        self.problems: tuple[Problem, ...] = tuple(sorted(set(problems)))
        super().__init__("\n".join(str(problem) for problem in self.problems))


class HostError(LabctlError):
    """This machine lacks something that the command needs."""

    cause: ClassVar[str] = "host"


class LabError(LabctlError):
    """The labs that run on this machine are not as the command needs them."""

    cause: ClassVar[str] = "lab"


class LabExistsError(LabError):
    """A lab of that name is up, or going up, already."""


class LabNotFoundError(LabError):
    """No lab of that name is known on this machine."""


class LabBusyError(LabError):
    """Another labctl process is changing this lab right now."""


class RenderError(LabctlError):
    """A template failed."""

    cause: ClassVar[str] = "render"


class NodeError(LabctlError):
    """A node did not start, or did not become ready in time."""

    cause: ClassVar[str] = "node"


class ActionError(LabctlError):
    """An action on a running lab failed."""

    cause: ClassVar[str] = "action"


class ProbeError(LabctlError):
    """Traffic could not be sent or received at all."""

    cause: ClassVar[str] = "probe"


class LabInterrupted(LabctlError):  # noqa: N818 - it is no fault of anybody
    """The user stopped the command; what was begun has been healed."""

    cause: ClassVar[str] = "interrupted"
    exit_code: ClassVar[int] = 130
