"""What an action of the timeline is, and what a kind of actions is made of.

A kind says everything of itself in its file: what a user may write, one line of documentation with an
example, what is checked against the lab, what is done to the lab, what takes it back, and what a verdict must
know. :data:`labctl.scenario.kinds.actions.ACTIONS` finds the files.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING, Any, Generic, Protocol, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from labctl.document.entries import Entry
    from labctl.events import Listener
    from labctl.fault.types import Effect
    from labctl.lab.runtime import Runtime
    from labctl.lab.state import LabDir
    from labctl.model.lab import Lab
    from labctl.scenario.kinds.condition import Waiting

__all__ = ["Action", "ActionKind", "LabInUse", "Mention", "NoParams", "Power", "unchecked"]

P = TypeVar("P")

Mention = tuple[tuple[str | int, ...], str, str]
"""What is wrong with an action: the keys below its own that lead to the place, message, hint."""


class Power(StrEnum):
    """What an action does to the power of its target, for whoever waits for nodes to be ready.

    ``off`` and ``on`` are said of the nodes of the target; ``none`` is an action that leaves power as it is.
    """

    NONE = "none"
    OFF = "off"
    ON = "on"


class LabInUse(Protocol):
    """What an action gets to work on: a lab that runs."""

    @property
    def runtime(self) -> Runtime:
        """That runs it."""

    @property
    def folder(self) -> LabDir:
        """Its state."""

    @property
    def lab(self) -> Lab:
        """As planned."""


@dataclass(frozen=True, slots=True)
class NoParams:
    """Of an action that has nothing to say besides its target."""

    def __str__(self) -> str:
        return ""


def unchecked(_action: Action[Any], _lab: Lab) -> Iterable[Mention]:
    """For kinds of which the target alone is checked."""
    return ()


@dataclass(frozen=True, slots=True, repr=False, eq=False)
class ActionKind(Generic[P]):
    """One word of the timeline, with everything that labctl knows of it.

    Attributes:
        name: the key in the timeline.
        doc: one line: what it does.
        example: an entry as a user writes it, without its moment.
        entry: the model of an entry; one of its fields has the alias ``name``.
        read: makes the actions of an entry: one for each of its targets.
        act: does it to a running lab. Raises ActionError if it cannot be done.
        check: what is wrong with one against a lab, besides targets that are not there.
        on_link: whether a target is a link (two ends) or nodes.
        undo: the kind that takes it back; None for one that takes something back itself, or that nothing
            takes back.
        named_by_params: whether the parameters say, beside the target, what it is done to.
        silent: whether the peers are not told, so that carrier stays; asked of the parameters.
        passing: it takes something away that comes back by itself: there is nothing to take back.
        power: what it does to the power of its target; asked of the parameters.
        for_needed: whether an entry must say how long it lasts (``for``).
        assess: of a kind that does nothing to the lab but waits for something in it: done in the place of
            ``act``. Text under ``missed`` in the detail of its effect makes the run a FAIL.
    """

    name: str
    doc: str
    example: str
    entry: type[Entry]
    read: Callable[[Any], tuple[Action[Any], ...]]
    act: Callable[[LabInUse, Action[P], Listener], Effect]
    check: Callable[[Action[P], Lab], Iterable[Mention]] = unchecked
    on_link: bool = False
    undo: ActionKind[Any] | None = None
    named_by_params: bool = False
    silent: Callable[[P], bool] = lambda _params: False
    passing: bool = False
    power: Callable[[P], Power] = lambda _params: Power.NONE
    for_needed: bool = False
    assess: Callable[[Action[P], Waiting], Effect] | None = None

    @property
    def breaks(self) -> bool:
        """Whether it takes something away: a fail-over is counted for it."""
        return self.undo is not None or self.passing

    def __repr__(self) -> str:
        return f"<{self.name}>"


@dataclass(frozen=True, slots=True)
class Action(Generic[P]):
    """One thing done to the lab.

    Attributes:
        kind: of which it is one.
        target: one node, or the two ends of a link (``node`` or ``node:interface``); none for what has no
            place in the lab.
        params: what else it takes; in text, as people and the journal read it.
    """

    kind: ActionKind[P]
    target: tuple[str, ...]
    params: P = field(default_factory=NoParams)  # type: ignore[assignment] # a kind with parameters gives them

    @property
    def name(self) -> str:
        """The key in the timeline."""
        return self.kind.name

    @property
    def label(self) -> str:
        """The target in one word: ``gw1``, or ``r1-gw1`` for a link."""
        return "-".join(self.target)

    @property
    def nodes(self) -> tuple[str, ...]:
        """The nodes that it touches."""
        return tuple(end.partition(":")[0] for end in self.target)

    @property
    def power(self) -> Power:
        """What it does to the power of its target."""
        return self.kind.power(self.params)

    @property
    def traits(self) -> dict[str, bool]:
        """What a verdict must know of it, as the journal carries it.

        Returns:
            ``breaks``: it takes something away, so a fail-over is counted for it. ``silent``: the peers
            keep their carrier. ``passes``: what it takes away comes back by itself.
        """
        kind = self.kind
        return {"breaks": kind.breaks, "silent": kind.silent(self.params), "passes": kind.passing}

    def undone(self) -> Action[Any]:
        """The action that takes this one back.

        Raises:
            ValueError: nothing does.
        """
        if self.kind.undo is None:
            raise ValueError(f"nothing takes {self.name} back")
        if self.kind.named_by_params:
            return Action(self.kind.undo, self.target, self.params)
        return Action(self.kind.undo, self.target)

    @property
    def object(self) -> tuple[str, ...]:
        """What it is done to, in one form whichever way round a link is named."""
        return (*sorted(self.target), str(self.params) if self.kind.named_by_params else "")

    def takes_back(self, fault: Action[Any]) -> bool:
        """Whether it is what takes a fault back."""
        return fault.kind.undo is self.kind and fault.object == self.object

    def __str__(self) -> str:
        words = f"{self.name} {' - '.join(self.target)}" if self.target else self.name
        said = str(self.params)
        return f"{words} ({said})" if said not in ("", "cut") else words
