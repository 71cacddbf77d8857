"""The controller's edits against the real iptables: accepted, idempotent, and others' rules untouched."""

from __future__ import annotations

import subprocess
from typing import TYPE_CHECKING

import pytest

from labctl.nova.eventlog import EventLog
from labctl.nova.firewall import Firewall
from labctl.nova.release import without_ours
from labctl.nova.rules import OWNER

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

pytestmark = pytest.mark.netns

FOREIGN = (
    ("-A", "INPUT", "-p", "tcp", "--dport", "22", "-j", "ACCEPT"),
    ("-A", "FORWARD", "-s", "192.0.2.0/24", "-m", "comment", "--comment", "not nova's", "-j", "DROP"),
    ("-t", "nat", "-A", "POSTROUTING", "-s", "192.0.2.0/24", "-j", "MASQUERADE"),
)


class InNamespace:
    """Runs commands in a network namespace of its own."""

    def __init__(self, pid: int) -> None:
        self.enter = ("nsenter", f"--target={pid}", "--net", "--")

    def __call__(self, *argv: str, stdin: str = "", allowed: Sequence[int] = (0,)) -> str:
        done = subprocess.run([*self.enter, *argv], input=stdin, capture_output=True, text=True, check=False)
        assert done.returncode in allowed, (argv, done.stderr)
        return done.stdout


@pytest.fixture
def run() -> Iterator[InNamespace]:
    held = subprocess.Popen(
        ["unshare", "--net", "--", "sh", "-c", "echo; exec sleep 60"], stdout=subprocess.PIPE
    )
    assert held.stdout is not None
    held.stdout.readline()
    try:
        yield InNamespace(held.pid)
    finally:
        held.stdout.close()
        held.kill()
        held.wait()


def rules(run: InNamespace) -> list[str]:
    """Every chain and rule of the kernel, without counters and comments."""
    return [line.split(" [")[0] for line in run("iptables-save").splitlines() if not line.startswith("#")]


def with_networks(firewall: Firewall, count: int) -> None:
    for number in range(1, count + 1):
        filters, nat = firewall.tables["filter"], firewall.tables["nat"]
        filters.add("FORWARD", f"-i br{number} -j ACCEPT")
        filters.add("FORWARD", f"-o br{number} -j ACCEPT")
        filters.add("FORWARD", f"-d 10.40.{number}.2/32 -p udp -m udp --dport 1194 -j ACCEPT")
        for proto in ("udp", "tcp"):
            filters.add("INPUT", f"-i br{number} -p {proto} -m {proto} --dport 67 -j ACCEPT")
        for chain in ("PREROUTING", "OUTPUT"):
            words = f"-d 192.0.2.9/32 -p udp -m udp --dport {10000 + number}"
            nat.add(chain, f"{words} -j DNAT --to-destination 10.40.{number}.2:1194")


@pytest.mark.parametrize("one_restore", [False, True])
def test_the_kernel_has_just_what_was_wanted_and_a_second_apply_changes_nothing(
    run: InNamespace, tmp_path: Path, *, one_restore: bool
) -> None:
    for rule in FOREIGN:
        run("iptables", *rule)
    before = rules(run)
    with EventLog(tmp_path / "log") as log:
        firewall = Firewall(run, log, tmp_path / "lock", one_restore=one_restore)
        with_networks(firewall, 3)
        firewall.apply()
        once = rules(run)
        firewall.apply()
    assert rules(run) == once
    wanted = [str(rule) for table in firewall.tables.values() for rule in table.rules]
    assert sorted(line for line in once if line in wanted) == sorted(wanted)
    assert [line for line in before if line not in once] == []
    foreign = [line for line in once if "192.0.2.0/24" in line or "--dport 22" in line]
    assert foreign == [line for line in before if line.startswith("-A")]


def test_what_is_released_is_gone_and_nothing_else(run: InNamespace, tmp_path: Path) -> None:
    for rule in FOREIGN:
        run("iptables", *rule)
    with EventLog(tmp_path / "log") as log:
        firewall = Firewall(run, log, tmp_path / "lock")
        with_networks(firewall, 2)
        firewall.apply()
    run("iptables-restore", "-c", stdin=without_ours(run("iptables-save", "-c")) + "\n")
    left = rules(run)
    assert not any(OWNER in line or "nova-filter" in line for line in left)
    assert sum(line.startswith("-A") for line in left) == len(FOREIGN)
