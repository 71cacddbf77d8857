"""faults.json: the faults in force, recorded before they take effect, so that any process can undo them."""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from labctl.lab.state import LabDir

__all__ = ["Fault", "clear", "faults", "in_force", "lock_nodes", "record"]

_FILE = "faults.json"


@dataclass(frozen=True, slots=True)
class Fault:
    """One fault in force; action and target together are its name.

    Attributes:
        action: ``power-off``, ``link-cut``, ``link-blackhole``, ``node-blackhole``.
        target: a node, or ``a:eth1-b:eth2`` for a link, the ends in the definition's order.
        detail: plain JSON values that undoing needs.
    """

    action: str
    target: str
    detail: Mapping[str, Any] = field(default_factory=dict)


def faults(lab: LabDir) -> tuple[Fault, ...]:
    """The faults in force, the oldest first."""
    try:
        entries = json.loads((lab.path / _FILE).read_text())
        return tuple(Fault(**entry) for entry in entries)
    except (FileNotFoundError, ValueError, TypeError):
        return ()


def in_force(lab: LabDir, action: str, target: str) -> bool:
    """Whether a fault of that name is in force."""
    return any((fault.action, fault.target) == (action, target) for fault in faults(lab))


def record(lab: LabDir, fault: Fault) -> None:
    """Record a fault, in place of one with the same name."""
    with _locked(lab, "faults"):
        kept = [each for each in faults(lab) if (each.action, each.target) != (fault.action, fault.target)]
        _write(lab, [*kept, fault])


def clear(lab: LabDir, action: str, target: str) -> None:
    """Clear a fault; repeating it is no error."""
    with _locked(lab, "faults"):
        known = faults(lab)
        kept = [each for each in known if (each.action, each.target) != (action, target)]
        if len(kept) != len(known):
            _write(lab, kept)


@contextlib.contextmanager
def lock_nodes(lab: LabDir, nodes: Iterable[str]) -> Iterator[None]:
    """Lock these nodes against other actions, and keep the lab from going down meanwhile.

    Waits for whoever acts on one of them now.

    Raises:
        LabBusyError: the lab is going up or down.
        LabNotFoundError: it is not there.
    """
    with contextlib.ExitStack() as stack:
        stack.enter_context(lab.share())
        # Always in the same order, so that two of us cannot wait for one another.
        for node in sorted(set(nodes)):
            stack.enter_context(_locked(lab, f"node.{node}"))
        yield


@contextlib.contextmanager
def _locked(lab: LabDir, name: str) -> Iterator[None]:
    folder = lab.path / "locks"
    folder.mkdir(exist_ok=True)
    handle = os.open(folder / name, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield
    finally:
        os.close(handle)


def _write(lab: LabDir, entries: Iterable[Fault]) -> None:
    fresh = lab.path / f"{_FILE}.new"
    fresh.write_text(json.dumps([asdict(entry) for entry in entries]))
    fresh.replace(lab.path / _FILE)
