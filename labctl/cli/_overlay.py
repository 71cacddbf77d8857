"""What the overlay's commands share: the lab's overlay opened, how long a change took, rows printed."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, TypeVar

from labctl.cli.console import need_root, out, out_json, say, table

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from labctl.lab.state import LabDir
    from labctl.overlay.client.database import Overlay

    Cell = str | int | bool | Sequence[str]

__all__ = ["change", "opened", "show"]

_Result = TypeVar("_Result")


def opened(lab: str) -> Overlay:
    """The overlay of a running lab.

    Raises:
        HostError: the user is not root.
        LabNotFoundError: no such lab.
        ActionError: the lab has no overlay.
    """
    return _opened(lab)[0]


def _opened(lab: str) -> tuple[Overlay, LabDir]:
    from labctl.lab.lifecycle import open_lab
    from labctl.overlay.client.database import open_overlay

    need_root("reaching the controllers of a lab")
    runtime, folder = open_lab(lab)
    return open_overlay(runtime, folder), folder


def change(lab: str, operation: Callable[[Overlay], _Result], *, what: str, force: bool) -> _Result:
    """Carry an operation out, and say how long it took.

    Args:
        lab: its name.
        operation: what is done.
        what: the same in words, without the lab: ``gateway drain gw1``.
        force: do it although a run uses the lab.
    """
    from labctl.lab.reservation import changing

    began = time.monotonic()
    overlay, folder = _opened(lab)
    with changing(folder, "overlay", what, force=force):
        result = operation(overlay)
    say(f"done in {time.monotonic() - began:.2f} s")
    return result


def show(head: Sequence[str], rows: Sequence[Sequence[Cell]], *, as_json: bool) -> None:
    """Rows as columns, or as JSON objects with the headings as keys: counts are numbers, lists are lists."""
    if as_json:
        keys = [column.lower() for column in head]
        out_json([dict(zip(keys, row, strict=True)) for row in rows])
    else:
        out(table(head, [[_text(cell) for cell in row] for row in rows]))


def _text(cell: Cell) -> str:
    if isinstance(cell, bool):
        return "yes" if cell else "no"
    return str(cell) if isinstance(cell, str | int) else ",".join(cell)
