"""What the overlay's commands share: the way to the state database of a running lab."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any, TypeVar

from labctl.cli.console import need_root, out, out_json, say, table

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path

    from labctl.overlay.config.state import Edit
    from labctl.overlay.store.nsdb import Database

__all__ = ["change", "facts", "read", "show"]

_Result = TypeVar("_Result")
_SESSION_S = 2.0


def facts(lab: str) -> Mapping[str, Any]:
    """What the lab was planned with: ``section``, ``hosts``, ``vms``, ``controllers``, ``servers``.

    Raises:
        ActionError: the lab has no overlay.
    """
    from labctl.errors import ActionError
    from labctl.lab.definition_cache import plan_of
    from labctl.lab.lifecycle import open_lab

    _, folder = open_lab(lab)
    planned = plan_of(folder)
    if planned is None or not planned.overlay.get("controllers"):
        raise ActionError(f"lab {lab} has no overlay: no node of it is a controller")
    return planned.overlay


def change(lab: str, edit: Callable[[Edit], _Result]) -> _Result:
    """Change the state database of a lab in one transaction, and say how long that took."""
    began = time.monotonic()
    result = _with_database(lab, lambda database: database.change(edit))
    say(f"done in {time.monotonic() - began:.2f} s")
    return result


def read(lab: str, question: Callable[[Database], _Result]) -> _Result:
    """Ask the state database of a lab."""
    return _with_database(lab, question)


def _with_database(lab: str, work: Callable[[Database], _Result]) -> _Result:
    """In the network namespace of a controller: no port of the lab is open on this machine."""
    need_root("reaching the controllers of a lab")
    plain = facts(lab)
    netns, number = _controller(lab, plain["controllers"])
    # Its own server first; one that has lost its power would cost a session's time.
    servers = [*plain["servers"][number:], *plain["servers"][:number]]

    def inside() -> _Result:
        from labctl.overlay.store.nsdb import Database
        from labctl.overlay.store.session import connect

        client = connect(servers, session_s=_SESSION_S, in_order=True)
        try:
            return work(Database(client))
        finally:
            client.stop()
            client.close()

    from labctl.linux.netns import inside as inside_netns

    return inside_netns(netns, inside)


def _controller(lab: str, names: Sequence[str]) -> tuple[Path, int]:
    """The network namespace of the first controller that runs, and its number."""
    from labctl.errors import ActionError
    from labctl.lab.lifecycle import open_lab
    from labctl.lab.runtime import NodeStatus

    runtime, folder = open_lab(lab)
    states = runtime.states(folder)
    for number, name in enumerate(names):
        if name in states and states[name].status is NodeStatus.RUNNING:
            return runtime.netns(folder, name), number
    raise ActionError(f"no controller of lab {lab} is running: {', '.join(names)}")


def show(head: Sequence[str], rows: Sequence[Sequence[str]], *, as_json: bool) -> None:
    """Rows as columns, or as JSON objects with the headings as keys."""
    if as_json:
        keys = [column.lower() for column in head]
        out_json([dict(zip(keys, row, strict=True)) for row in rows])
    else:
        out(table(head, rows))
