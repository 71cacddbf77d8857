"""A make-believe shell for the legacy controllers: it runs nothing, and records every command."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from legacy import network

from labctl.nova.eventlog import EventLog
from labctl.nova.firewall import Firewall
from labctl.nova.l3 import initialize
from labctl.nova.segments import SegmentKind
from labctl.nova.settings import NovaSettings
from labctl.nova.tenant import Builder

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

__all__ = ["Shell", "start_controller"]


class Shell:
    """Runs nothing; keeps the rules that it was given, as the kernel does.

    Attributes:
        commands: as root, in their order.
        unprivileged: the others.
        tables: text of each iptables table, by name.
    """

    def __init__(self) -> None:
        self.commands: list[tuple[str, ...]] = []
        self.unprivileged: list[tuple[str, ...]] = []
        self.tables: dict[str, str] = {}

    def __call__(self, *argv: str, stdin: str = "", allowed: Sequence[int] = (0,), root: bool = True) -> str:
        assert 0 in allowed
        (self.commands if root else self.unprivileged).append(argv)
        if argv[0] == "iptables-restore":
            for text in stdin.split("COMMIT\n"):
                if text:
                    self.tables[text[1:].split("\n")[0]] = text + "COMMIT\n"
        if argv[0] == "iptables-save":
            return self.tables.get(argv[3], "") if "-t" in argv else "".join(self.tables.values())
        return ""


def start_controller(folder: Path, count: int, **settings: Any) -> tuple[Shell, Shell, list[dict[str, Any]]]:
    """Start a controller on a fresh node.

    Returns:
        What was run before the first network, what for all networks, and the data of every apply.
    """
    chosen = NovaSettings("eth2", "192.0.2.1", "192.0.2.1", "192.0.2.254", state=folder, **settings)
    before, building = Shell(), Shell()
    building.tables = before.tables
    networks = [network(index) for index in range(count)]
    with EventLog(folder / "events.jsonl") as log:
        firewall = Firewall(before, log, folder / "lock", chosen.traits)
        initialize(chosen, networks, before, firewall)
        firewall.execute = building
        builder = Builder(chosen, SegmentKind.VLAN, building, firewall)
        for one in networks:
            builder.build(one)
    lines = (folder / "events.jsonl").read_text(encoding="utf-8").splitlines()
    return before, building, [json.loads(line)["data"] for line in lines]
