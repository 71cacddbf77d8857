"""Virtual machines that are not nodes of the lab: the agent of their host starts and ends them.

A VM that the state database places on this host, without an interface of the lab, gets namespaces
of its own within the node, made by the role's program ``/etc/labctl/guest``. So it dies with its
host, ends when its port is removed, and outlives the agent, which finds it again by its interface's name.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import re
import shutil
import signal
import socket
import struct
import subprocess
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["PREFIX", "GuestSpec", "Guests"]

PREFIX = "lc-vm"
"""Beginning of the name of a machine's interface in the node; the port's key follows."""
MAKING_AT_ONCE = 4
AGAIN_AFTER_S = 2.0
MADE_WITHIN_S = 30.0
_NAME = re.compile(r"[a-z0-9][a-z0-9.-]*")
_SIOCGIFFLAGS, _SIOCSIFFLAGS, _IFF_UP = 0x8913, 0x8914, 1


@dataclass(frozen=True, slots=True)
class GuestSpec:
    """The wanted state of a machine.

    Attributes:
        name: of its port.
        key: of its port; a key is never given twice, so it tells one machine from a later one.
        mac: of its interface, with colons.
    """

    name: str
    key: int
    mac: str

    @property
    def interface(self) -> str:
        """Name of the node's end of its link."""
        return f"{PREFIX}{self.key}"


@dataclass(slots=True)
class _Maker:
    """The process that starts a machine and then supervises it.

    Attributes:
        guest: which one.
        process: the program.
        since: when it was started, CLOCK_MONOTONIC in s.
        notified: whether it knows that its interface is bound.
    """

    guest: GuestSpec
    process: subprocess.Popen[bytes]
    since: float
    notified: bool = False


@dataclass(slots=True)
class Guests:
    """The machines of this host that are no nodes.

    Attributes:
        folder: what is known of each machine stands in a folder of its name in here.
        program: makes one; see ``templates/compute/etc/labctl/guest``.
    """

    folder: Path = Path("/run/labctl-agent/vm")
    program: Path = Path("/etc/labctl/guest")
    _wanted: dict[int, GuestSpec] = field(default_factory=dict)
    _kept: dict[int, GuestSpec] = field(default_factory=dict)
    _makers: dict[int, _Maker] = field(default_factory=dict)
    _failed: dict[int, float] = field(default_factory=dict)
    _pipe: tuple[int, int] = field(default_factory=lambda: os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK))

    def fileno(self) -> int:
        """Readable when a machine's interface has come."""
        return self._pipe[0]

    def take_notices(self) -> None:
        """Read the notices that interfaces have come; :meth:`interfaces` has them from now on."""
        with contextlib.suppress(BlockingIOError):
            os.read(self._pipe[0], 1 << 16)

    def want(self, guests: Mapping[int, GuestSpec], *, only: bool = True) -> None:
        """Which machines there should be from now on: begin those that are missing.

        Args:
            guests: by key.
            only: end the others; else those that live are kept as they are.
        """
        self._wanted, self._kept = dict(guests), {}
        for name, key in self._known():
            guest = self._wanted.get(key)
            if guest is not None and guest.name == name:
                continue
            if only:
                self._end(name, key)
            elif self.pid(name):
                self._kept[key] = GuestSpec(name, key, "")
        self.tend()

    def tend(self) -> None:
        """Start missing machines as far as possible now; call it periodically."""
        there = {name for _, name in socket.if_nameindex()}
        self._reap(there)
        now = time.monotonic()
        busy = sum(maker.guest.interface not in there for maker in self._makers.values())
        for key, guest in self._wanted.items():
            if busy >= MAKING_AT_ONCE:
                break
            if key in self._makers or guest.interface in there or now < self._failed.get(key, 0.0):
                continue
            busy += self._make(guest)

    def interfaces(self) -> dict[str, str]:
        """Interface -> name of its port, of every machine that is wanted or kept."""
        return {guest.interface: guest.name for guest in (*self._kept.values(), *self._wanted.values())}

    def bound(self, interface: str) -> None:
        """The interface is a port now: let its machine begin."""
        _set_up(interface)
        maker = self._makers.get(int(interface.removeprefix(PREFIX)))
        if maker is not None and not maker.notified:
            maker.notified = True
            _notify(maker.process)

    def pid(self, name: str) -> int:
        """The first process of a machine; 0 if there is none."""
        try:
            pid = int((self.folder / name / "pid").read_text())
            words = Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
        except (OSError, ValueError):
            return 0
        # Numbers are used again: it must be the one that was started for this machine.
        return pid if words[3:6] == [str(self.program).encode(), b"inside", name.encode()] else 0

    def _known(self) -> list[tuple[str, int]]:
        """Machines that an agent has begun: name and key."""
        found = []
        with contextlib.suppress(FileNotFoundError):
            for entry in os.scandir(self.folder):
                try:
                    found.append((entry.name, int((Path(entry.path) / "key").read_text())))
                except (OSError, ValueError):
                    found.append((entry.name, 0))
        return found

    def _make(self, guest: GuestSpec) -> bool:
        if not _NAME.fullmatch(guest.name):
            return False
        place = self.folder / guest.name
        # Whatever is left of an earlier one.
        shutil.rmtree(place, ignore_errors=True)
        try:
            place.mkdir(parents=True)
            (place / "key").write_text(f"{guest.key}\n")
            process = subprocess.Popen(
                [str(self.program), guest.name, guest.interface, guest.mac],
                stdin=subprocess.PIPE,
                stdout=self._pipe[1],
                stderr=None,
                start_new_session=True,
            )
        except OSError as error:
            sys.stdout.write(f"agent: {guest.name} cannot be made: {error}\n")
            self._failed[guest.key] = time.monotonic() + AGAIN_AFTER_S
            return False
        self._makers[guest.key] = _Maker(guest, process, time.monotonic())
        return True

    def _reap(self, there: set[str]) -> None:
        """Machines whose programs have ended; one that is wanted still is made again after a while."""
        now = time.monotonic()
        for key, maker in list(self._makers.items()):
            if maker.guest.interface not in there and now - maker.since > MADE_WITHIN_S:
                with contextlib.suppress(ProcessLookupError):
                    os.killpg(maker.process.pid, signal.SIGKILL)
            if maker.process.poll() is None:
                continue
            _notify(maker.process)
            del self._makers[key]
            if key in self._wanted and maker.guest.interface not in there:
                sys.stdout.write(f"agent: {maker.guest.name} ended with {maker.process.returncode}\n")
                self._failed[key] = now + AGAIN_AFTER_S

    def _end(self, name: str, key: int) -> None:
        """Take a machine away, with every process in it; its interface goes with its namespace."""
        pid = self.pid(name)
        if pid:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        maker = self._makers.get(key)
        if maker is not None and not pid:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(maker.process.pid, signal.SIGKILL)
        self._failed.pop(key, None)
        shutil.rmtree(self.folder / name, ignore_errors=True)


def _notify(process: subprocess.Popen[bytes]) -> None:
    """One line on its standard input, and no more."""
    if process.stdin is not None:
        with contextlib.suppress(OSError):
            process.stdin.write(b"bound\n")
            process.stdin.flush()
        with contextlib.suppress(OSError):
            process.stdin.close()
        process.stdin = None


def _set_up(interface: str) -> None:
    """Set an interface up (netdevice(7))."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as any_socket, contextlib.suppress(OSError):
        request = struct.pack("16sh14x", interface.encode(), 0)
        flags = struct.unpack_from("16sh", fcntl.ioctl(any_socket, _SIOCGIFFLAGS, request))[1]
        fcntl.ioctl(any_socket, _SIOCSIFFLAGS, struct.pack("16sh14x", interface.encode(), flags | _IFF_UP))
