"""The control groups of a lab's nodes: one group a node, so that all of its processes stop as one.

The groups are below the group of the labctl that brings the lab up, so that its limits, and the end of a
CI job, apply to the nodes as well::

    labctl-<lab>-<8 hex digits>/node-<node>/

The lab's folder records their place in ``cgroup`` before the first group is made, so ``labctl
down`` finds the groups whatever became of the labctl that made them. Where labctl cannot use a
freezer (control groups mounted read-only in a container, no root) the record is ``none``, nodes stay
in the caller's group, and :func:`freezer_of` finds nothing.
"""

from __future__ import annotations

import contextlib
import os
import re
import secrets
import time
from pathlib import Path
from typing import TYPE_CHECKING

from labctl.linux.freezer import Freezer, mounted

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from labctl.lab.state import LabDir

__all__ = ["available", "freezer_of", "freezers", "join_files", "remove"]

_RECORD = "cgroup"
_OURS = re.compile(r"/labctl-[^/]+-[0-9a-f]{8}/node-[^/]+")
_REMOVED_S = 2.0


def freezer_of(pid: int) -> Freezer | None:
    """The freezer of the node that a process belongs to; None if it is in no control group of ours."""
    try:
        lines = Path(f"/proc/{pid}/cgroup").read_text()
    except OSError:
        return None
    if not _OURS.search(lines):
        return None
    for tree in mounted():
        group = tree.group_of(lines) or ""
        ours = _OURS.search(group)
        folder = tree.folder(group[: ours.end()]) if ours else None
        if folder is not None and Freezer(folder, tree.version).usable():
            return Freezer(folder, tree.version)
    return None


def available() -> int:
    """The version of control groups whose freezer this process may use, by trying; 0 if there is none."""
    for top in _possible("trial"):
        if _made(top):
            top.folder.rmdir()
            return top.version
    return 0


def join_files(lab: LabDir, nodes: Iterable[str]) -> Mapping[str, Path]:
    """Make a control group for each node, or reuse the existing one, thawed.

    Returns:
        For each node the file that a process writes ``0`` to, in order to join; nothing where this
        machine has no freezer that we may use.
    """
    top = _top(lab)
    if top is None:
        return {}
    found = {}
    try:
        for node in nodes:
            folder = top.folder / f"node-{node}"
            folder.mkdir(exist_ok=True)
            # A labctl that was killed in the middle of a power cut may have left it frozen.
            Freezer(folder, top.version).thaw()
            found[node] = folder / "cgroup.procs"
    except OSError:  # a limit of the tree's: cgroup.max.descendants
        return found
    return found


def freezers(lab: LabDir) -> tuple[Freezer, ...]:
    """The freezer of every node of a lab, whether something is in it or not."""
    top = _recorded(lab)
    if top is None:
        return ()
    return tuple(Freezer(folder, top.version) for folder in _groups(top.folder))


def remove(lab: LabDir) -> list[str]:
    """Remove the lab's control groups, which must hold no process; repeating it is no error.

    Returns:
        Those that would not go.
    """
    top = _recorded(lab)
    if top is None:
        return []
    end = time.monotonic() + _REMOVED_S
    for folder in (*_groups(top.folder), top.folder):
        while not _removed(folder):
            # A process that has ended leaves its group a moment later.
            if time.monotonic() > end:
                return [os.fspath(folder)]
            time.sleep(0.002)
    return []


def _removed(folder: Path) -> bool:
    try:
        folder.rmdir()
    except FileNotFoundError:
        return True
    except OSError:
        return False
    return True


def _top(lab: LabDir) -> Freezer | None:
    """The group that holds those of the lab's nodes, made where it is not there."""
    record = lab.path / _RECORD
    if record.exists():
        known = _recorded(lab)
        if known is not None:
            # Whoever manages the tree may have removed it while no node ran.
            with contextlib.suppress(OSError):
                known.folder.mkdir(parents=True, exist_ok=True)
        return known
    for top in _possible(lab.name):
        record.write_text(f"{top.version} {top.folder}")
        if _made(top):
            return top
    record.write_text("none")
    return None


def _possible(name: str) -> Iterator[Freezer]:
    """Groups that could be made below this process's own, the best first."""
    own = Path("/proc/self/cgroup").read_text()
    for tree in mounted():
        around = tree.folder(tree.group_of(own) or "/..")
        if around is not None:
            yield Freezer(around / f"labctl-{name}-{secrets.token_hex(4)}", tree.version)


def _made(top: Freezer) -> bool:
    """Make a group; whether it has a freezer. If not, nothing is left of it."""
    with contextlib.suppress(OSError):
        top.folder.mkdir()
        if top.usable():
            return True
        top.folder.rmdir()
    return False


def _recorded(lab: LabDir) -> Freezer | None:
    try:
        version, _, folder = (lab.path / _RECORD).read_text().partition(" ")
    except OSError:
        return None
    ours = re.fullmatch(r".*/labctl-[^/]+-[0-9a-f]{8}", folder)
    return Freezer(Path(folder), int(version)) if ours and version in ("1", "2") else None


def _groups(folder: Path) -> Iterator[Path]:
    """All groups below one, the deepest first."""
    for where, below, _ in os.walk(folder, topdown=False):
        yield from (Path(where, name) for name in below)
