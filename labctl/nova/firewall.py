"""Applies the controller's rules: save, edit, restore, under a lock, changed or not before 2013.2."""

from __future__ import annotations

import contextlib
import fcntl
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from labctl.nova.eventlog import EventLog, now_ns
from labctl.nova.rules import Table, edit, split_tables, tables_of_controller

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from labctl.nova.rootexec import Execute
    from labctl.nova.traits import ReleaseTraits

__all__ = ["Firewall"]


@dataclass
class Firewall:
    """The controller's rules, in memory and in the kernel.

    Attributes:
        execute: runs commands as root.
        log: gets an ``apply`` event each: ``ns``, ``edit_ns`` of it spent in Python, ``rules``,
            ``skipped``.
        lock: file that other programs that edit rules lock, too.
        traits: of the release: which tables, and how they are written.
        tables: by name, in the order in which they are written.
    """

    execute: Execute
    log: EventLog
    lock: Path
    traits: ReleaseTraits
    tables: dict[str, Table] = field(init=False)
    _deferred: bool = False

    def __post_init__(self) -> None:
        """Begin with the controller's own chains."""
        self.tables = tables_of_controller(self.traits.tables)

    def apply(self) -> None:
        """Bring the kernel's rules to what is wanted.

        Raises:
            CommandError: iptables refused.
        """
        if self._deferred:
            return
        begin = now_ns()
        skipped = self.traits.dirty_check and not any(table.dirty for table in self.tables.values())
        edit_ns = 0
        if not skipped:
            with self._locked():
                together = self.traits.one_restore
                edit_ns = self._together() if together else sum(map(self._one, self.tables.values()))
        for table in self.tables.values():
            table.dirty = False
        rules = sum(len(table.rules) for table in self.tables.values())
        self.log.tell("apply", t_ns=begin, ns=now_ns() - begin, edit_ns=edit_ns, rules=rules, skipped=skipped)

    @contextlib.contextmanager
    def deferred(self) -> Iterator[None]:
        """Applies inside do nothing; one is made at the end."""
        self._deferred = True
        try:
            yield
        finally:
            self._deferred = False
        self.apply()

    def _one(self, table: Table) -> int:
        saved = self.execute("iptables-save", "-c", "-t", table.name)
        begin = now_ns()
        lines = edit(table, split_tables(saved.splitlines()).get(table.name, []))
        text = "\n".join(lines) + "\n"
        took = now_ns() - begin
        self.execute("iptables-restore", "-c", stdin=text)
        return took

    def _together(self) -> int:
        saved = self.execute("iptables-save", "-c")
        begin = now_ns()
        found = split_tables(saved.splitlines())
        lines = [line for name, table in self.tables.items() for line in edit(table, found.get(name, []))]
        text = "\n".join(lines) + "\n"
        took = now_ns() - begin
        self.execute("iptables-restore", "-c", stdin=text)
        return took

    @contextlib.contextmanager
    def _locked(self) -> Iterator[None]:
        with self.lock.open("w") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            yield
