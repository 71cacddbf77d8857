"""Removes everything that a lab has on this machine, from any half-made state.

The code trusts no records: it finds processes by their namespaces and mounts in the kernel's own table.
So it works after kill -9 at any moment, and can be repeated.
"""

from __future__ import annotations

import contextlib
import os
import shutil
from pathlib import Path
from typing import TYPE_CHECKING

from labctl.errors import LabError
from labctl.lab import node_groups
from labctl.linux import processes, syscalls
from labctl.linux.endings import end_inhabitants

if TYPE_CHECKING:
    from labctl.lab.state import LabDir

__all__ = ["mounts_under", "remove_folder", "sweep"]

_GONE_S = 10.0
_FOLDERS = ("netns", "parked", "logs", "init", "scratch", "locks")


def sweep(lab: LabDir) -> None:
    """Kill the lab's processes, release its namespaces and mounts, remove their folders.

    Raises:
        LabError: a process or a mount would not go.
    """
    spaces = {space for folder in (lab.netns, lab.parked) for space in _pinned_in(folder)}
    left = end_inhabitants(spaces, _inits(lab, spaces), node_groups.freezers(lab), _GONE_S)
    if left:
        raise LabError(f"lab {lab.name}: processes {left} still run after {_GONE_S:g} s")
    kept = node_groups.remove(lab)
    if kept:
        raise LabError(f"lab {lab.name}: cannot remove control group {kept[0]}")
    for point in mounts_under(lab.path):
        try:
            syscalls.umount(point, syscalls.MNT_DETACH)
        except OSError as error:
            raise LabError(f"lab {lab.name}: cannot unmount {point}: {error.strerror}") from error
    for folder in _FOLDERS:
        shutil.rmtree(lab.path / folder, ignore_errors=True)


def remove_folder(lab: LabDir) -> None:
    """Remove the lab's folder and, where it was the last one, the state root.

    Raises:
        LabError: something in it would not go.
    """
    try:
        shutil.rmtree(lab.path)
    except FileNotFoundError:
        pass
    except OSError as error:
        raise LabError(f"lab {lab.name}: cannot remove {error.filename}: {error.strerror}") from error
    with contextlib.suppress(OSError):
        lab.root.rmdir()


def mounts_under(folder: Path) -> list[str]:
    """Mount points of this process's mount namespace below a folder, deepest and latest first."""
    prefix = os.fspath(folder) + "/"
    found = []
    for line in Path("/proc/self/mountinfo").read_text().splitlines():
        point = line.split()[4].encode().decode("unicode_escape")
        if point.startswith(prefix):
            found.append(point)
    return found[::-1]


def _inits(lab: LabDir, spaces: set[processes.Namespace]) -> list[int]:
    """PID 1 of each node that runs. A number that another process got since is in none of the namespaces."""
    found = []
    for record in (lab.path / "init").glob("*"):
        with contextlib.suppress(OSError, ValueError):
            found.append(int(record.read_text()))
    return [pid for pid in found if processes.namespace_of(pid, "net") in spaces]


def _pinned_in(folder: Path) -> set[processes.Namespace]:
    try:
        entries = list(folder.iterdir())
    except (FileNotFoundError, NotADirectoryError):
        return set()
    return {space for entry in entries if (space := processes.pinned(entry))}
