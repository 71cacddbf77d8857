"""A real ZooKeeper ensemble of three on the loopback, each server to be killed and started at will."""

from __future__ import annotations

import contextlib
import signal
import socket
import subprocess
import time
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

JAR = Path("/usr/share/java/zookeeper.jar")


def free_ports(count: int) -> list[int]:
    """Ports that nobody listens on right now."""
    with contextlib.ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(count)]
        for one in sockets:
            one.bind(("127.0.0.1", 0))
        return [int(one.getsockname()[1]) for one in sockets]


class Ensemble:
    """Servers 1 to 3; their data outlives them, as a node's disk outlives its power."""

    def __init__(self, folder: Path) -> None:
        ports = free_ports(9)
        self.client_ports = dict(zip((1, 2, 3), ports[:3], strict=True))
        self._folder = folder
        self._processes: dict[int, subprocess.Popen[bytes]] = {}
        quorum = "".join(f"server.{n}=127.0.0.1:{ports[n + 2]}:{ports[n + 5]}\n" for n in self.client_ports)
        for n, port in self.client_ports.items():
            data = folder / str(n) / "data"
            data.mkdir(parents=True)
            (data / "myid").write_text(f"{n}\n")
            (folder / str(n) / "zoo.cfg").write_text(
                f"tickTime=1000\ninitLimit=10\nsyncLimit=3\ndataDir={data}\nclientPort={port}\n"
                "clientPortAddress=127.0.0.1\nadmin.enableServer=false\n"
                f"4lw.commands.whitelist=srvr,ruok\n{quorum}"
            )

    @property
    def servers(self) -> list[str]:
        return [f"127.0.0.1:{port}" for port in self.client_ports.values()]

    def start(self, *numbers: int) -> None:
        for n in numbers:
            home = self._folder / str(n)
            with (home / "log").open("ab") as log:
                self._processes[n] = subprocess.Popen(
                    [
                        *("java", "-Xmx64m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1"),
                        *("-cp", f"{home}:{JAR}", "org.apache.zookeeper.server.quorum.QuorumPeerMain"),
                        str(home / "zoo.cfg"),
                    ],
                    stdout=log,
                    stderr=log,
                )

    def kill(self, *numbers: int) -> None:
        """At once, as a power cut."""
        for n in numbers:
            process = self._processes.pop(n, None)
            if process is not None:
                process.send_signal(signal.SIGKILL)
                process.wait()

    def freeze(self, n: int) -> None:
        self._processes[n].send_signal(signal.SIGSTOP)

    def thaw(self, n: int) -> None:
        self._processes[n].send_signal(signal.SIGCONT)

    def mode(self, n: int) -> str:
        """leader, follower, or empty while it does not serve."""
        try:
            with socket.create_connection(("127.0.0.1", self.client_ports[n]), timeout=1) as link:
                link.sendall(b"srvr")
                said = b"".join(iter(lambda: link.recv(4096), b"")).decode()
        except OSError:
            return ""
        return next((line.split()[1] for line in said.splitlines() if line.startswith("Mode:")), "")

    def wait_for_leader(self, within_s: float = 120) -> int:
        deadline = time.monotonic() + within_s
        while time.monotonic() < deadline:
            for n in self._processes:
                if self.mode(n) == "leader":
                    return n
            time.sleep(0.05)
        logs = "\n".join((self._folder / str(n) / "log").read_text()[-2000:] for n in self.client_ports)
        raise TimeoutError(f"no leader within {within_s} s\n{logs}")


@contextlib.contextmanager
def ensemble(folder: Path) -> Iterator[Ensemble]:
    """Three servers that have elected a leader; killed at the end."""
    made = Ensemble(folder)
    try:
        made.start(1, 2, 3)
        made.wait_for_leader()
        yield made
    finally:
        made.kill(1, 2, 3)
