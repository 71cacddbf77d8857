"""The route gate: a node attracts traffic only while it can forward it; see decide.py.

Runs in the node, with nothing but Python's standard library. Its log is the node's log, and
/run/labctl/gate has its state in one line.
"""

from __future__ import annotations

import json
import os
import select
import signal
import socket
import sys
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

import netlink
from decide import Memory, Port, Rules, View, decide, describe
from vty import Vty

CONFIG = Path("/etc/labctl/gate.json")
STATE = Path("/run/labctl/gate")
PID = Path("/run/labctl/gate.pid")
DRAIN = Path("/run/labctl/gate.drain")
"""While this is there nothing is announced; SIGHUP says that it came or went."""
_RETRY_S = 0.2


class Gate:
    """Observed state, decisions, and the actions that follow from them."""

    def __init__(self, config: dict[str, Any]) -> None:
        self._sides: dict[str, dict[str, Any]] = {side["name"]: side for side in config["sides"]}
        self._rules = Rules(
            gates=config["gates"],
            track=config["track"],
            hosts=frozenset(config["hosts"]),
            quiet=config["quiet"],
            settle=config["settle"],
            patience=config["patience"],
        )
        self._memory = Memory()
        self._told: frozenset[str] | None = None
        self._held: dict[str, list[int]] = {}
        self._hosts_up = False
        self._vty: Vty | None = None
        self._line = ""
        self._started = time.monotonic()

    def step(self) -> float | None:
        """Observe, decide, act. Returns when to step again if nothing happens, None for never."""
        links = netlink.links()
        view = self._look(links)
        self._memory, again = decide(view, time.monotonic(), self._memory, self._rules)
        self._hold(links)
        draining = DRAIN.exists()
        told = self._tell(frozenset() if draining else self._memory.open)
        line = "open, but drained: nothing is announced" if draining else ""
        self._say((line or describe(view, self._memory, self._rules)) if told else "bgpd does not answer")
        return again if told else time.monotonic() + _RETRY_S

    def close(self) -> None:
        """Announce nothing any more."""
        self._tell(frozenset())
        self._say("closed: shutting down")

    def _look(self, links: dict[str, netlink.Link]) -> View:
        routes4, routes6 = netlink.routes(socket.AF_INET), netlink.routes(socket.AF_INET6)
        view: View = {}
        for name, side in self._sides.items():
            ports = view[name] = {}
            for port, speaks_bgp in side["ports"].items():
                link = links.get(port, netlink.NO_LINK)
                ports[port] = Port(link.carrier, routes4[link.number], routes6[link.number], speaks_bgp)
        return view

    def _hold(self, links: dict[str, netlink.Link]) -> None:
        """Take down what is to be held, bring up what was held: links first, they act at once."""
        for name in self._memory.held - self._held.keys():
            ports = [links[port] for port in self._sides[name]["ports"] if port in links]
            # What somebody else took down stays down when the side is released.
            self._held[name] = [link.number for link in ports if link.up]
            netlink.set_links(self._held[name], up=False)
        for name in self._held.keys() - self._memory.held:
            netlink.set_links(self._held.pop(name), up=True)
        if self._memory.hosts_up and not self._hosts_up:
            self._hosts_up = True
            netlink.set_links([links[port].number for port in self._rules.hosts if port in links], up=True)

    def _tell(self, wanted: frozenset[str]) -> bool:
        """Have bgpd announce to these sides and no others. Returns whether it took it."""
        if not self._rules.gates or wanted == self._told:
            return True
        changed = set(self._sides) if self._told is None else wanted ^ self._told
        try:
            self._vty = self._vty or Vty()
            for command in self._commands(sorted(changed), wanted):
                self._vty.run(command)
        except OSError as error:
            if self._vty is not None:
                self._vty.close()
            # A bgpd that starts anew has its gates closed: it is told everything again.
            self._vty, self._told = None, None
            print(f"gate: {error}", flush=True)
            return False
        self._told = wanted
        return True

    def _commands(self, changed: list[str], wanted: frozenset[str]) -> list[str]:
        commands = ["configure terminal"]
        for name in changed:
            action = "permit" if name in wanted else "deny"
            commands += [f"route-map TO-{self._sides[name]['tag']} {action} 30", "exit"]
        commands.append("end")
        groups = [group for name in changed for group in self._sides[name]["groups"]]
        for family in ("ipv4", "ipv6"):
            commands += [f"clear bgp {family} unicast peer-group {group} soft out" for group in groups]
        return commands

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
    for caught in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(caught, lambda *_: None)
    # What it does is little, and others wait for it; where that is not allowed it stands in line.
    with suppress(OSError):
        os.setpriority(os.PRIO_PROCESS, 0, -20)
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
        if reader in ready and signal.SIGTERM in os.read(reader, 64):
            gate.close()
            time.sleep(config["drain"])
            return 0
        netlink.drain(watch)


if __name__ == "__main__":
    sys.exit(main())
