"""A machine of a test's own: PID, mount and network namespaces with a private /run.

Inside, labctl runs as on a host that nobody else uses: what it leaves behind can be counted, and
``down --all`` takes away nothing of anybody else. When the test ends its first process is killed,
and the kernel ends every process in it; mounts and links go with their namespaces.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["Machine", "machine"]

REPOSITORY = Path(__file__).parents[2]

CENSUS = """
import json, os, pathlib
def words(pid):
    read = pathlib.Path(f"/proc/{pid}/cmdline").read_bytes()
    return read.replace(bytes(1), b" ").decode(errors="replace").strip()
own = {os.getpid(), os.getppid()}
processes = []
for entry in os.listdir("/proc"):
    if entry.isdigit() and int(entry) not in own:
        try:
            processes.append(words(entry) or "(no command line)")
        except OSError:
            pass
state = pathlib.Path("/run/labctl")
print(json.dumps({
    "processes": sorted(processes),
    "mounts": sorted(" ".join(line.split()[0:5:4]) for line in open("/proc/self/mountinfo")),
    "links": sorted(os.listdir("/sys/class/net")),
    "named": sorted(os.listdir("/run/netns")) if os.path.isdir("/run/netns") else [],
    "labs": sorted(
        str(pathlib.Path(folder, name).relative_to(state))
        for folder, folders, files in os.walk(state)
        for name in folders + files
    ),
}))
"""

# All of /run is the machine's own, not only /run/labctl: when another labctl on the host removes its
# empty /run/labctl, the kernel takes away what any mount namespace has mounted there.
PREPARE = """
set -e
mount -t tmpfs -o mode=755 tmpfs /run
mkdir /run/lock /run/netns /run/cgroup
mount --rbind /sys/fs/cgroup /run/cgroup
mount -t sysfs sysfs /sys
mount --move /run/cgroup /sys/fs/cgroup
rmdir /run/cgroup
ip link set lo up
echo prepared
exec tini -- sleep infinity
"""


@dataclass
class Machine:
    """Commands run in the machine.

    Attributes:
        pid: of its first process, in the outer numbering.
        cwd: where commands run.
        inherited: mounts that it was born with, as "id path". They do not count: when the host
            removes a folder that one of them is on, the kernel takes it away here as well.
    """

    pid: int
    cwd: Path
    inherited: frozenset[str] = frozenset()

    def line(self, *argv: str) -> list[str]:
        """The command line, outside, that runs ``argv`` inside."""
        return [
            "nsenter",
            f"--target={self.pid}",
            "--pid",
            "--mount",
            "--net",
            f"--wdns={self.cwd}",
            "--",
            *argv,
        ]

    def run(self, *argv: str, timeout_s: float = 120.0, **options: Any) -> subprocess.CompletedProcess[str]:
        """Run a command inside and wait for it."""
        given = {"capture_output": True, "text": True, "cwd": self.cwd, "timeout": timeout_s}
        return subprocess.run(self.line(*argv), check=options.pop("check", False), **{**given, **options})

    def labctl(
        self, *words: str, timeout_s: float = 120.0, **options: Any
    ) -> subprocess.CompletedProcess[str]:
        """Run labctl inside and wait for it."""
        return self.run(sys.executable, "-m", "labctl", *words, timeout_s=timeout_s, **options)

    def start(self, *words: str) -> subprocess.Popen[str]:
        """Start labctl inside, in the background, its output thrown away."""
        return subprocess.Popen(
            self.line(sys.executable, "-m", "labctl", *words),
            cwd=self.cwd,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            text=True,
        )

    def kill(self, child: subprocess.Popen[str], number: int = signal.SIGKILL) -> None:
        """Send a signal to the labctl that :meth:`start` started, not to the nsenter around it."""
        children = Path(f"/proc/{child.pid}/task/{child.pid}/children").read_text().split()
        for pid in children:
            with contextlib.suppress(ProcessLookupError):
                os.kill(int(pid), number)

    def census(self) -> dict[str, list[str]]:
        """Every process, mount, link, named namespace and state file that has come to be inside."""
        done = self.run(sys.executable, "-I", "-c", CENSUS, check=True)
        told: dict[str, list[str]] = json.loads(done.stdout)
        return {**told, "mounts": [one for one in told["mounts"] if one not in self.inherited]}

    def settled(self, wanted: dict[str, list[str]], within_s: float = 2.0) -> dict[str, list[str]]:
        """The census, as soon as it is the wanted one, at the latest after ``within_s``.

        The kernel takes a network namespace apart after its last process has gone, not before.
        """
        deadline = time.monotonic() + within_s
        while (now := self.census()) != wanted and time.monotonic() < deadline:
            time.sleep(0.05)
        return now


@contextlib.contextmanager
def machine(cwd: Path) -> Iterator[Machine]:
    """Make a machine, and take it away at the end whatever happened in it."""
    outer = subprocess.Popen(
        [
            "unshare",
            "--fork",
            "--kill-child",
            "--pid",
            "--mount",
            "--mount-proc",
            "--net",
            "sh",
            "-c",
            PREPARE,
        ],
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        if outer.stdout is None or outer.stdout.readline() != "prepared\n":
            raise RuntimeError("no machine could be made")
        (pid,) = Path(f"/proc/{outer.pid}/task/{outer.pid}/children").read_text().split()
        born = Machine(int(pid), cwd).census()
        made = Machine(int(pid), cwd, frozenset(born["mounts"]))
        try:
            yield made
        finally:
            # Control groups are the host's: those of a lab that a test leaves up would outlive the machine.
            made.labctl("down", "--all")
    finally:
        outer.kill()
        outer.wait()
        if outer.stdout is not None:
            outer.stdout.close()
