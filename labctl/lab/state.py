"""The records of running labs on this machine: /run/labctl/<lab>/, one folder a lab, one lock each.

    lab.lock      flock: held by the process that changes the lab
    state.json    :class:`LabRecord`: written before the first node is made
    def/          the rendered definition that runs (a copy of what render made)
    netns/<node>  the network namespace of a node, bind-mounted (embedded runtime)
    parked/<node> the old network namespace of a node without power, with its links
    logs/<node>   what PID 1 wrote since the last boot (embedded runtime)
    faults.json   the faults in force, so that another process can undo them
    locks/<node>  flock: held by the process that acts on the node or its links

The folder does not survive a reboot, and neither do namespaces.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from labctl.errors import LabBusyError, LabNotFoundError

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["STATE_ROOT", "LabDir", "LabRecord", "labs"]

STATE_ROOT = Path("/run/labctl")


@dataclass(frozen=True, slots=True)
class LabRecord:
    """The record of a lab, which outlives the process that made the lab.

    Attributes:
        name: of the lab.
        runtime: name of the runtime that runs it.
        topology: the user's file, absolute.
        definition: the ``*.clab.yml`` that runs, absolute.
        phase: ``starting``, ``up`` or ``stopping``.
        created_s: seconds since the epoch.
    """

    name: str
    runtime: str
    topology: str
    definition: str
    phase: str
    created_s: float


@dataclass(frozen=True, slots=True)
class LabDir:
    """The folder of one lab under the state root."""

    name: str
    root: Path = STATE_ROOT

    @property
    def path(self) -> Path:
        """The folder itself."""
        return self.root / self.name

    @property
    def definition(self) -> Path:
        """Folder of the rendered definition."""
        return self.path / "def"

    @property
    def netns(self) -> Path:
        """Folder of the nodes' network namespaces (embedded runtime)."""
        return self.path / "netns"

    @property
    def parked(self) -> Path:
        """Folder of the namespaces that hold the links of nodes without power."""
        return self.path / "parked"

    @property
    def logs(self) -> Path:
        """Folder of the nodes' logs (embedded runtime)."""
        return self.path / "logs"

    def record(self) -> LabRecord:
        """The lab's record.

        Raises:
            LabNotFoundError: nothing is, or it is not readable as a record.
        """
        try:
            return LabRecord(**json.loads((self.path / "state.json").read_text()))
        except (OSError, ValueError, TypeError) as error:
            raise LabNotFoundError(f"no lab named {self.name!r} is known on this machine") from error

    def write_record(self, record: LabRecord) -> None:
        """Write the record; the old one stays until the new one is complete."""
        self.path.mkdir(parents=True, exist_ok=True)
        fresh = self.path / "state.json.new"
        fresh.write_text(json.dumps(asdict(record)))
        fresh.replace(self.path / "state.json")

    @contextlib.contextmanager
    def lock(self) -> Iterator[None]:
        """Lock the lab for a change of the whole: while it goes up or down.

        Raises:
            LabBusyError: another process holds it.
        """
        with self._held(fcntl.LOCK_EX):
            yield

    @contextlib.contextmanager
    def share(self) -> Iterator[None]:
        """Take a shared lock that keeps the lab from going down during an action on a part of it.

        Raises:
            LabBusyError: another process changes the whole.
            LabNotFoundError: it is not there.
        """
        with self._held(fcntl.LOCK_SH):
            yield

    def _open_lock(self, *, make: bool) -> int:
        """The lock file, open. Another labctl may remove the folder, and the root, at any moment."""
        while True:
            try:
                return os.open(self.path / "lab.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
            except FileNotFoundError as error:
                if not make:
                    raise LabNotFoundError(f"no lab named {self.name!r} is known on this machine") from error
            with contextlib.suppress(FileNotFoundError):
                self.path.mkdir(parents=True, exist_ok=True)

    @contextlib.contextmanager
    def _held(self, kind: int) -> Iterator[None]:
        while True:
            handle = self._open_lock(make=kind == fcntl.LOCK_EX)
            try:
                fcntl.flock(handle, kind | fcntl.LOCK_NB)
            except BlockingIOError as error:
                os.close(handle)
                raise LabBusyError(f"another labctl is changing lab {self.name!r} right now") from error
            # Whoever held it before may have removed the folder with the lock in it.
            if _still_there(handle, self.path / "lab.lock"):
                break
            os.close(handle)
        try:
            yield
        finally:
            os.close(handle)


def _still_there(handle: int, path: Path) -> bool:
    try:
        there = path.stat()
    except FileNotFoundError:
        return False
    here = os.fstat(handle)
    return (here.st_dev, here.st_ino) == (there.st_dev, there.st_ino)


def labs(root: Path = STATE_ROOT) -> tuple[LabDir, ...]:
    """Every recorded lab of this machine, half-made ones too, by name."""
    try:
        return tuple(LabDir(entry.name, root) for entry in sorted(root.iterdir()) if entry.is_dir())
    except FileNotFoundError:
        return ()
