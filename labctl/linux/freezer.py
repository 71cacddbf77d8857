"""The kernel's freezer: stops and resumes all processes of a control group at once.

A stop signal also affects the parent of a stopped process: nsenter, which runs a command in a node,
stops as well. A parent in vfork() ignores it, and it reaches one process after the other. The
freezer has none of these problems. Both versions of control groups have one: cgroups(7), and in the kernel's
documentation admin-guide/cgroup-v2 (``cgroup.freeze``) and cgroup-v1/freezer-subsystem.
"""

from __future__ import annotations

import contextlib
import os
from dataclasses import dataclass
from pathlib import Path

__all__ = ["Freezer", "Hierarchy", "hierarchies", "mounted"]

_UNIFIED = 2
_SWITCH = {1: "freezer.state", 2: "cgroup.freeze"}


@dataclass(frozen=True, slots=True)
class Freezer:
    """The control group of one node.

    Attributes:
        folder: where the kernel shows it.
        version: of control groups, 1 or 2.
    """

    folder: Path
    version: int

    def freeze(self) -> None:
        """Ask the kernel to stop every process in the group, and each that comes into it.

        From here on none of them gets back to its own code; see :meth:`frozen` for when all have stopped.

        Raises:
            OSError: the group is gone, or the kernel refuses.
        """
        self._switch().write_text("FROZEN" if self.version == 1 else "1")

    def usable(self) -> bool:
        """Whether the kernel offers the freezer: version 2 has it since Linux 5.2, and not in its root."""
        return self._switch().exists()

    def thaw(self) -> None:
        """Resume the processes; a group that is gone, or that we may not change, is no error."""
        with contextlib.suppress(OSError):
            self._switch().write_text("THAWED" if self.version == 1 else "0")

    def wanted(self) -> bool:
        """Whether the group is frozen, or on its way there."""
        return self._read(self._switch().name).strip() in ("1", "FROZEN", "FREEZING")

    def frozen(self) -> bool:
        """Whether every process of the group has stopped. One that waits in vfork() counts as stopped."""
        if self.version == 1:
            return self._read("freezer.state").strip() == "FROZEN"
        return "frozen 1" in self._read("cgroup.events").splitlines()

    def pids(self) -> set[int]:
        """The processes in the group, in the caller's numbering (0: of none that the caller knows)."""
        return {int(line) for line in self._read("cgroup.procs").split()}

    def adopt(self, pid: int) -> None:
        """Move a process into the group, with all its threads; one that is gone is no error."""
        with contextlib.suppress(FileNotFoundError, ProcessLookupError):
            (self.folder / "cgroup.procs").write_text(str(pid))

    def _switch(self) -> Path:
        return self.folder / _SWITCH[self.version]

    def _read(self, name: str) -> str:
        try:
            return (self.folder / name).read_text()
        except OSError:
            return ""


@dataclass(frozen=True, slots=True)
class Hierarchy:
    """A mounted tree of control groups that has a freezer.

    Attributes:
        version: 1 or 2.
        mount: where it is mounted.
        root: path, in the tree, of the group that is shown at ``mount``.
    """

    version: int
    mount: Path
    root: str

    def group_of(self, lines: str) -> str | None:
        """Path in the tree of the group that a process is in.

        Args:
            lines: its ``/proc/PID/cgroup``; format: cgroups(7).
        """
        for line in lines.splitlines():
            number, _, rest = line.partition(":")
            controllers, _, path = rest.partition(":")
            if number == "0" if self.version == _UNIFIED else "freezer" in controllers.split(","):
                return path
        return None

    def folder(self, group: str) -> Path | None:
        """Where the kernel shows a group; None if this mount does not show it."""
        below = os.path.relpath(group, self.root)
        return None if below.split("/")[0] == ".." or group.startswith("/..") else self.mount / below


def hierarchies(mountinfo: str) -> tuple[Hierarchy, ...]:
    """The trees with a freezer, those of version 2 first: a process frozen there can be killed as it is.

    Args:
        mountinfo: ``/proc/self/mountinfo``; format: proc(5).
    """
    found = []
    for line in mountinfo.splitlines():
        mount, _, kind = line.partition(" - ")
        fields, (name, _, options) = mount.split(), kind.split(maxsplit=2)
        root, point = (_unescaped(field) for field in fields[3:5])
        if name == "cgroup2":
            found.append(Hierarchy(_UNIFIED, Path(point), root))
        elif name == "cgroup" and "freezer" in options.split(","):
            found.append(Hierarchy(1, Path(point), root))
    return tuple(sorted(found, key=lambda tree: -tree.version))


def mounted() -> tuple[Hierarchy, ...]:
    """The trees with a freezer that this process sees."""
    return hierarchies(Path("/proc/self/mountinfo").read_text())


def _unescaped(field: str) -> str:
    return field.encode().decode("unicode_escape")
