"""Which lab a command means, and what is known of it without asking its runtime."""

from __future__ import annotations

import contextlib
from pathlib import Path
from typing import TYPE_CHECKING

from labctl.errors import LabNotFoundError
from labctl.lab.state import LabDir, labs

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from labctl.lab.runtime import Runtime
    from labctl.model.lab import NodePlan

__all__ = ["changing_lab", "lab_of", "planned_nodes"]


@contextlib.contextmanager
def changing_lab(name: str, action: str, target: str, *, force: bool) -> Iterator[tuple[Runtime, LabDir]]:
    """A running lab, for one change of it; see :func:`labctl.lab.reservation.changing`.

    Raises:
        LabNotFoundError: no such lab.
        LabBusyError: a run holds it, and the change is not forced.
    """
    from labctl.lab.lifecycle import open_lab
    from labctl.lab.reservation import changing

    runtime, lab = open_lab(name)
    with changing(lab, action, target, force=force):
        yield runtime, lab


def lab_of(name_or_topology: str | None) -> LabDir:
    """The lab of that name, or the one made from that file, or the only one there is.

    Raises:
        LabNotFoundError: there is none, or None was given and there are several.
    """
    known = labs()
    if name_or_topology is None:
        if len(known) == 1:
            return known[0]
        names = ", ".join(lab.name for lab in known)
        raise LabNotFoundError(f"which lab? {names} are here" if known else "no lab runs on this machine")
    for lab in known:
        if lab.name == name_or_topology:
            return lab
    made = [lab for lab in known if _made_from(lab, Path(name_or_topology))]
    if len(made) == 1:
        return made[0]
    if made:
        names = ", ".join(lab.name for lab in made)
        raise LabNotFoundError(f"several labs were made from {name_or_topology}: name one of {names}")
    raise LabNotFoundError(_not_found(name_or_topology, [lab.name for lab in known]))


def _made_from(lab: LabDir, path: Path) -> bool:
    try:
        return Path(lab.record().topology) == path.resolve()
    except LabNotFoundError:
        return False


def _not_found(name: str, names: list[str]) -> str:
    import difflib

    near = difflib.get_close_matches(name, names, n=1, cutoff=0.5)
    hint = f" (did you mean {near[0]!r}?)" if near else ""
    return f"no lab named {name!r} is known on this machine{hint}"


def planned_nodes(lab: LabDir) -> Mapping[str, NodePlan]:
    """Every node as it was planned, by name; empty for a lab from somebody else's file.

    Raises:
        LabError: the plan is damaged.
    """
    from labctl.lab.definition_cache import plan_of

    planned = plan_of(lab)
    return {node.name: node for node in planned.nodes} if planned else {}
