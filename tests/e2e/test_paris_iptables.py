"""The controller's edits against the real iptables: accepted, idempotent, and others' rules untouched."""

from __future__ import annotations

import subprocess
from typing import TYPE_CHECKING, Any

import pytest
from legacy import network

from labctl.nova.eventlog import EventLog
from labctl.nova.firewall import Firewall
from labctl.nova.l3 import initialize
from labctl.nova.release import without_ours
from labctl.nova.rules import OWNER
from labctl.nova.segments import SegmentKind
from labctl.nova.settings import NovaSettings
from labctl.nova.tenant import Builder
from labctl.nova.traits import TRAITS, Release

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

    def __call__(
        self,
        *argv: str,
        stdin: str = "",
        allowed: Sequence[int] = (0,),
        root: bool = True,  # noqa: ARG002 - the tests are root
    ) -> str:
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


@pytest.mark.parametrize("release", list(Release))
def test_the_kernel_has_just_what_was_wanted_and_a_second_apply_changes_nothing(
    run: InNamespace, tmp_path: Path, release: Release
) -> None:
    for rule in FOREIGN:
        run("iptables", *rule)
    before = rules(run)
    with EventLog(tmp_path / "log") as log:
        firewall = Firewall(run, log, tmp_path / "lock", TRAITS[release])
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


class OnlyRules:
    """Runs what is iptables' in the namespace, and nothing else: interfaces and dnsmasq are not at stake."""

    def __init__(self, run: InNamespace) -> None:
        self.run = run
        self.restored: list[str] = []

    def __call__(
        self,
        *argv: str,
        stdin: str = "",
        allowed: Sequence[int] = (0,),
        root: bool = True,  # noqa: ARG002 - the tests are root
    ) -> str:
        if argv[0] == "iptables-restore":
            self.restored.append(stdin)
        return self.run(*argv, stdin=stdin, allowed=allowed) if argv[0].startswith("iptables") else ""


def start_controller(
    run: InNamespace, folder: Path, networks: int, **behaviour: Any
) -> tuple[Firewall, OnlyRules]:
    """A controller with its real rules, applied as it really applies them, up to its last network."""
    settings = NovaSettings("eth2", "192.0.2.1", "192.0.2.1", "192.0.2.254", state=folder, **behaviour)
    execute = OnlyRules(run)
    with EventLog(folder / "log") as log:
        firewall = Firewall(execute, log, folder / "lock", settings.traits)
        tenants = [network(index) for index in range(networks)]
        initialize(settings, tenants, execute, firewall)
        builder = Builder(settings, SegmentKind.VXLAN, execute, firewall)
        for tenant in tenants:
            builder.build(tenant)
    return firewall, execute


@pytest.mark.parametrize("release", list(Release))
def test_every_rule_of_the_controller_stands_in_the_kernel_word_for_word_and_in_its_order(
    run: InNamespace, tmp_path: Path, release: Release
) -> None:
    for rule in FOREIGN:
        run("iptables", *rule)
    firewall, execute = start_controller(run, tmp_path, 3, release=release)
    for name, table in firewall.tables.items():
        kernel = [line for line in run("iptables-save", "-t", name).splitlines() if line.startswith("-A")]
        for chain in {rule.chain for rule in table.rules}:
            wanted = [str(rule) for rule in table.rules if rule.chain == chain]
            found = [line for line in kernel if line.split()[1] == chain]
            # In a chain of others theirs stand behind; nothing of ours is missing, doubled or rewritten.
            assert found[: len(wanted)] == wanted
            assert len(found) - len(wanted) == sum(
                "192.0.2.0/24" in one or "--dport 22" in one for one in found
            )
    traits = TRAITS[release]
    applies = 3 * 3 + 1 + 2 * (3 if traits.range_a_network else 1)
    assert len(execute.restored) == applies * traits.commands_an_apply // 2


def test_a_controller_started_anew_on_its_own_rules_ends_with_the_very_same(
    run: InNamespace, tmp_path: Path
) -> None:
    for rule in FOREIGN:
        run("iptables", *rule)
    start_controller(run, tmp_path, 3)
    once = rules(run)
    _, second = start_controller(run, tmp_path, 3)
    assert rules(run) == once
    # What it wrote last is what the kernel gives back, chain by chain, counters apart.
    saved = run("iptables-save", "-t", "nat").splitlines()
    last = [line.partition("] ")[2] for line in second.restored[-1].splitlines() if line.startswith("[")]
    assert sorted(last) == sorted(line for line in saved if line.startswith("-A"))


def test_iptables_refuses_a_rule_that_is_none_and_keeps_what_it_had(run: InNamespace, tmp_path: Path) -> None:
    start_controller(run, tmp_path, 1)
    before = rules(run)
    with EventLog(tmp_path / "log") as log:
        firewall = Firewall(run, log, tmp_path / "lock", TRAITS[Release.FOLSOM_3])
        firewall.tables["filter"].add("FORWARD", "-i br1 --no-such-match -j ACCEPT")
        with pytest.raises(AssertionError, match="iptables-restore"):
            firewall.apply()
    assert rules(run) == before


def test_what_is_released_is_gone_and_nothing_else(run: InNamespace, tmp_path: Path) -> None:
    for rule in FOREIGN:
        run("iptables", *rule)
    with EventLog(tmp_path / "log") as log:
        firewall = Firewall(run, log, tmp_path / "lock", TRAITS[Release.FOLSOM_3])
        with_networks(firewall, 2)
        firewall.apply()
    run("iptables-restore", "-c", stdin=without_ours(run("iptables-save", "-c")) + "\n")
    left = rules(run)
    assert not any(OWNER in line or "nova-filter" in line for line in left)
    assert sum(line.startswith("-A") for line in left) == len(FOREIGN)
