"""The fast failure detector: takes the link of a silent neighbour down at once; see decide.py.

Every tick a hello (a small frame) goes out of every link to another router, which does the same. Runs in the
node, with nothing but Python's standard library, at real-time priority where that is allowed. Its
log is the node's log.
"""

from __future__ import annotations

import fcntl
import gc
import json
import os
import socket
import struct
import sys
import threading
import time
from contextlib import suppress
from pathlib import Path

from decide import Neighbour, tick

CONFIG = Path("/etc/labctl/fast-detect.json")
_PRIORITY = 3
_ETHERTYPE = 0x88B5  # IEEE 802: local experimental
_TO = bytes.fromhex("0180c2000003")  # the nearest bridge, and no further
_PAYLOAD = b"labctl hello".ljust(46, b"\0")
# linux/sockios.h, linux/if.h
_SIOCGIFFLAGS, _SIOCSIFFLAGS = 0x8913, 0x8914
_IFF_UP, _IFF_RUNNING = 0x1, 0x40
_REQUEST = struct.Struct("16sH14x")


class Link:
    """One link to another router: hellos out, hellos in, and its own end."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.neighbour = Neighbour()
        self.held = False
        self._socket = socket.socket(
            socket.AF_PACKET, socket.SOCK_RAW | socket.SOCK_CLOEXEC | socket.SOCK_NONBLOCK
        )
        self._socket.bind((name, _ETHERTYPE))
        own = self._socket.getsockname()[4]
        self._frame = _TO + own + _ETHERTYPE.to_bytes(2, "big") + _PAYLOAD

    def greet(self) -> None:
        """Send a hello; a link that is down receives none."""
        with suppress(OSError):
            self._socket.send(self._frame)

    def heard(self) -> bool:
        """Whether anything came since it was last asked."""
        found = False
        while True:
            try:
                self._socket.recv(64)
                found = True
            except BlockingIOError:
                return found
            except OSError:  # told once that the link went down
                continue

    def frames(self) -> int:
        """How many frames of any kind have come so far, by the kernel's count."""
        head = f"{self.name}:"
        for row in Path("/proc/self/net/dev").read_text().splitlines():
            name, *counts = row.split()
            if name == head:
                return int(counts[1])
        return 0

    def has_carrier(self) -> bool:
        """Whether it is up, at this end and the other."""
        return self._flags() & (_IFF_UP | _IFF_RUNNING) == _IFF_UP | _IFF_RUNNING

    def set(self, *, up: bool) -> None:
        """Take our end up or down."""
        with suppress(OSError):
            flags = self._flags()
            wanted = flags | _IFF_UP if up else flags & ~_IFF_UP
            fcntl.ioctl(self._socket, _SIOCSIFFLAGS, _REQUEST.pack(self.name.encode(), wanted))

    def _flags(self) -> int:
        try:
            answer = fcntl.ioctl(self._socket, _SIOCGIFFLAGS, _REQUEST.pack(self.name.encode(), 0))
        except OSError:
            return 0
        return int(_REQUEST.unpack(answer)[1])


def main() -> int:
    """Send and receive hellos for as long as the node runs."""
    config = json.loads(CONFIG.read_text())
    interval, misses, seconds = config["interval"] / 1000, int(config["misses"]), float(config["hold"])
    links = [Link(name) for name in config["links"]]
    try:
        os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(_PRIORITY))
    except OSError as error:
        # Not allowed, or a kernel that shares real time out by group and gives a container's group none.
        say(f"no real-time priority ({error.strerror}): on a busy machine neighbours may look dead")
        with suppress(OSError):
            os.setpriority(os.PRIO_PROCESS, 0, -20)
    gc.collect()
    gc.disable()
    due = time.monotonic()
    while True:
        for link in links:
            link.greet()
        due += interval
        now = time.monotonic()
        if now < due:
            time.sleep(due - now)
            now = time.monotonic()
        late = now > due + interval / 2
        due = max(due, now - interval / 2)
        for link in links:
            look(link, now, late=late, misses=misses, seconds=seconds)


def look(link: Link, now: float, *, late: bool, misses: int, seconds: float) -> None:
    """One link, one tick."""
    heard = link.heard()
    if link.held:
        link.neighbour = Neighbour()
        return
    link.neighbour, dead = tick(link.neighbour, heard=heard, late=late, misses=misses, frames=link.frames)
    # A link without carrier has been lost to the kernel already, and is not ours to give back.
    if dead and link.has_carrier():
        link.held = True
        # The kernel changes one link at a time, of all its namespaces: whoever waits for that must not
        # keep the hellos on the other links waiting, or their neighbours take us for dead.
        threading.Thread(target=bounce, args=(link, now, seconds), daemon=True).start()


def bounce(link: Link, since: float, seconds: float) -> None:
    """Take a link down for a moment."""
    link.set(up=False)
    say(f"{link.name} taken down in {(time.monotonic() - since) * 1000:.1f} ms: the neighbour is silent")
    time.sleep(seconds)
    link.set(up=True)
    say(f"{link.name} given back")
    link.held = False


def say(text: str) -> None:
    """To the node's log."""
    print(f"fast-detect: {time.monotonic():.3f}: {text}", flush=True)


if __name__ == "__main__":
    sys.exit(main())
