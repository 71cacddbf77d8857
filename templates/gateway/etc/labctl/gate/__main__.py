"""The gate of a gateway: announces to one side only while it can pass traffic on to another.

Runs in the node, with nothing but Python's standard library. Its log is the node's log.
"""

from __future__ import annotations

import json
import os
import select
import signal
import socket
import sys
import time
from pathlib import Path

import netlink
from decide import Memory, Port, Rules, View, decide, describe
from vty import Vty

CONFIG = Path("/etc/labctl/gate.json")
STATE = Path("/run/labctl/gate")
PID = Path("/run/labctl/gate.pid")
_RETRY_S = 0.2


class Gate:
    """What is seen, what was decided, and what bgpd was told of it."""

    def __init__(self, config: dict[str, object]) -> None:
        self._sides = {str(side["name"]): side for side in config["sides"]}
        self._rules = Rules(float(config["settle"]), float(config["quiet"]))
        self._memory = Memory()
        self._told: frozenset[str] | None = None
        self._vty: Vty | None = None
        self._line = ""
        self._started = time.monotonic()

    def step(self) -> float | None:
        """Look, decide, tell bgpd. Returns when to step again if nothing happens, None for never."""
        view = self._look()
        self._memory, again = decide(view, time.monotonic(), self._memory, self._rules)
        told = self._tell(self._memory.open)
        line = describe(view, self._memory)
        self._say(line if told else "bgpd does not answer")
        return again if told else time.monotonic() + _RETRY_S

    def close(self) -> None:
        """Announce nothing any more."""
        self._tell(frozenset())
        self._say("closed: shutting down")

    def _look(self) -> View:
        links = netlink.links()
        routes4, routes6 = netlink.routes(socket.AF_INET), netlink.routes(socket.AF_INET6)
        view: View = {}
        for name, side in self._sides.items():
            ports = view[name] = {}
            for port, speaks_bgp in side["ports"].items():
                index, carrier = links.get(port, (0, False))
                ports[port] = Port(carrier, routes4[index], routes6[index], speaks_bgp)
        return view

    def _tell(self, wanted: frozenset[str]) -> bool:
        if wanted == self._told:
            return True
        changed = set(self._sides) if self._told is None else wanted ^ self._told
        try:
            if self._vty is None:
                self._vty = Vty()
            run = self._vty.run
            run("configure terminal")
            for name in sorted(changed):
                action = "permit" if name in wanted else "deny"
                run(f"route-map TO-{self._sides[name]['tag']} {action} 30")
                run("exit")
            run("end")
            for name in sorted(changed):
                for family in ("ipv4", "ipv6"):
                    for group in self._sides[name]["groups"]:
                        run(f"clear bgp {family} unicast peer-group {group} soft out")
        except OSError as error:
            if self._vty is not None:
                self._vty.close()
            # A bgpd that starts anew has its gates closed; what it was told is told again.
            self._vty, self._told = None, None
            print(f"gate: {error}", flush=True)
            return False
        self._told = wanted
        return True

    def _say(self, line: str) -> None:
        if line == self._line:
            return
        self._line = line
        print(f"gate: {time.monotonic() - self._started:.3f} s: {line}", flush=True)
        fresh = STATE.with_suffix(".new")
        fresh.write_text(line + "\n")
        fresh.replace(STATE)


def main() -> int:
    """Watch until SIGTERM; then close, and give the neighbours time to find other ways."""
    config = json.loads(CONFIG.read_text())
    reader, writer = os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK)
    signal.set_wakeup_fd(writer)
    signal.signal(signal.SIGTERM, lambda *_: None)
    watch = netlink.listener()
    PID.write_text(f"{os.getpid()}\n")
    gate = Gate(config)
    poll = select.poll()
    poll.register(watch, select.POLLIN)
    poll.register(reader, select.POLLIN)
    while True:
        again = gate.step()
        wait_ms = None if again is None else max(0.0, again - time.monotonic()) * 1000 + 1
        ready = {number for number, _ in poll.poll(wait_ms)}
        if reader in ready:
            gate.close()
            time.sleep(float(config["drain"]))
            return 0
        netlink.drain(watch)


if __name__ == "__main__":
    sys.exit(main())
