"""What an action does to a lab, as far as a verdict must know it.

A journal of format 2 carries the traits of each action, so that a verdict needs no registry. The
table below is for journals of format 1 alone, which name the action and nothing else; it never grows.
"""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["ActionTraits", "traits_of_format_1"]


@dataclass(frozen=True, slots=True)
class ActionTraits:
    """Traits of one action.

    Attributes:
        breaks: it takes something away: a fail-over is counted for it.
        silent: the peers are not notified: carrier stays, and nothing is in flight at it.
        passes: what it takes away comes back by itself.
    """

    breaks: bool
    silent: bool = False
    passes: bool = False


_FORMAT_1 = {
    "power-off": ActionTraits(breaks=True),
    "fence": ActionTraits(breaks=True),
    "link-cut": ActionTraits(breaks=True),
    "link-blackhole": ActionTraits(breaks=True, silent=True),
    "node-blackhole": ActionTraits(breaks=True, silent=True),
    "kill": ActionTraits(breaks=True, silent=True, passes=True),
    "gateway-drain": ActionTraits(breaks=True, silent=True),
    "gateway-remove": ActionTraits(breaks=True, silent=True),
}
_RETURN = ActionTraits(breaks=False)


def traits_of_format_1(action: str, mode: str) -> ActionTraits:
    """Traits of an action by its name, for journals that do not carry them.

    A frozen node (``mode`` ``freeze``) keeps its carrier: its peers are not notified.
    """
    traits = _FORMAT_1.get(action, _RETURN)
    if traits.breaks and mode == "freeze":
        return ActionTraits(breaks=True, silent=True, passes=traits.passes)
    return traits
