"""Suggests the nearest valid name for a misspelled one."""

from __future__ import annotations

import difflib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = ["nearest"]

_LISTED = 12


def nearest(name: str, known: Iterable[str]) -> str:
    """A hint that names the nearest of the known names.

    Args:
        name: what was written.
        known: what would have been right.

    Returns:
        ``did you mean 'x'?``; where nothing is near, the list of the known names if it is short;
        else nothing.
    """
    names = sorted(set(known))
    close = difflib.get_close_matches(name.lower(), names, n=1, cutoff=0.6)
    if close:
        return f"did you mean {close[0]!r}?"
    if 0 < len(names) <= _LISTED:
        return f"known: {', '.join(names)}"
    return ""
