"""The controller over a make-believe shell: order, count of commands, settings."""

from __future__ import annotations

import json
from collections import Counter
from itertools import islice
from typing import TYPE_CHECKING, Any

import pytest
from legacy import network

from labctl.errors import InputError
from labctl.nova.database import networks_of
from labctl.nova.dhcp import dnsmasq_argv
from labctl.nova.eventlog import EventLog
from labctl.nova.firewall import Firewall
from labctl.nova.queue import retry_delays
from labctl.nova.release import without_ours
from labctl.nova.rootexec import CommandError, RootExecutor, helper_argv, program_of
from labctl.nova.segments import SegmentKind
from labctl.nova.settings import NovaSettings, RootHelper, load_settings
from labctl.nova.tenant import COMMANDS_A_NETWORK, Builder

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path


class Shell:
    """Runs nothing; keeps the rules that it was given, as the kernel does."""

    def __init__(self) -> None:
        self.commands: list[tuple[str, ...]] = []
        self.tables: dict[str, str] = {}

    def __call__(self, *argv: str, stdin: str = "", allowed: Sequence[int] = (0,)) -> str:  # noqa: ARG002 - the seam
        self.commands.append(argv)
        if argv[0] == "iptables-restore":
            for text in stdin.split("COMMIT\n"):
                if text:
                    self.tables[text[1:].split("\n")[0]] = text + "COMMIT\n"
        if argv[0] == "iptables-save":
            return self.tables.get(argv[3], "") if "-t" in argv else "".join(self.tables.values())
        return ""


def build(tmp_path: Path, count: int, **settings: Any) -> tuple[Shell, list[dict[str, object]]]:
    chosen = NovaSettings("eth2", "192.0.2.1", "192.0.2.1", "192.0.2.254", state=tmp_path, **settings)
    shell = Shell()
    with EventLog(tmp_path / "events.jsonl") as log:
        firewall = Firewall(shell, log, tmp_path / "lock", chosen.dirty_check, chosen.one_restore)
        builder = Builder(chosen, SegmentKind.VXLAN, shell, firewall)
        if chosen.defer_applies:
            with firewall.deferred():
                for index in range(count):
                    builder.build(network(index))
        else:
            for index in range(count):
                builder.build(network(index))
    return shell, [json.loads(line) for line in (tmp_path / "events.jsonl").read_text().splitlines()]


def test_a_network_takes_as_many_commands_as_in_folsom(tmp_path: Path) -> None:
    shell, applies = build(tmp_path, 4)
    assert len(shell.commands) == 4 * COMMANDS_A_NETWORK
    programs = Counter(program_of(argv) for argv in shell.commands)
    assert programs["iptables-save"] == programs["iptables-restore"] == 4 * 3 * 2
    assert programs["dnsmasq"] == 4
    assert len(applies) == 4 * 3


def test_a_network_is_made_in_novas_order(tmp_path: Path) -> None:
    shell, _ = build(tmp_path, 1)
    steps = [" ".join(argv[:3]) for argv in shell.commands if not argv[0].startswith("iptables")]
    wanted = [
        "ip link add",
        "brctl addbr br101",
        "brctl addif br101",
        "sysctl -w net.ipv4.ip_forward=1",
        "ip addr add",
    ]
    assert [step for step in steps if step in wanted] == wanted
    assert steps[-1] == "env NETWORK_ID=br101 dnsmasq"


def test_every_apply_writes_all_rules_so_that_the_work_grows_with_the_square(tmp_path: Path) -> None:
    _, applies = build(tmp_path, 8)
    written = [int(str(event["data"]["rules"])) for event in applies]  # type: ignore[index]
    assert written == sorted(written)
    assert written[-1] - written[len(written) // 2] > 0


def test_one_restore_for_all_tables_halves_the_iptables_commands(tmp_path: Path) -> None:
    shell, _ = build(tmp_path, 2, one_restore=True)
    assert sum(argv[0].startswith("iptables") for argv in shell.commands) == 2 * 3 * 2


def test_the_dirty_check_spares_nothing_where_every_apply_has_news(tmp_path: Path) -> None:
    plain, _ = build(tmp_path / "a", 2)
    checked, applies = build(tmp_path / "b", 2, dirty_check=True)
    assert len(checked.commands) == len(plain.commands)
    assert not any(event["data"]["skipped"] for event in applies)  # type: ignore[index]


def test_deferred_applies_are_one(tmp_path: Path) -> None:
    shell, applies = build(tmp_path, 5, defer_applies=True)
    assert sum(argv[0] == "iptables-restore" for argv in shell.commands) == 2
    assert len(applies) == 1


def test_later_behaviours_end_with_the_same_rules(tmp_path: Path) -> None:
    plain, _ = build(tmp_path / "a", 3)
    later, _ = build(tmp_path / "b", 3, dirty_check=True, one_restore=True, defer_applies=True)
    assert later.tables == plain.tables


def test_dnsmasq_has_novas_flags(tmp_path: Path) -> None:
    words = dnsmasq_argv(network(0), tmp_path)
    for flag in (
        "--strict-order",
        "--bind-interfaces",
        "--conf-file=",
        "--except-interface=lo",
        "--leasefile-ro",
    ):
        assert flag in words
    assert "--dhcp-range=set:tenant1,10.40.1.3,static,255.255.255.0,120s" in words
    assert "--dhcp-lease-max=256" in words


def test_the_queue_is_tried_after_one_second_doubling_to_sixty() -> None:
    assert list(islice(retry_delays(), 9)) == [1, 2, 4, 8, 16, 32, 60, 60, 60]


def test_networks_come_in_the_order_of_the_range_with_their_machines() -> None:
    rows = [(7, *["x"] * 10), (9, *["y"] * 10)]
    found = networks_of(rows, [(9, "10.0.0.1", "m", "h")])
    assert [one.index for one in found] == [0, 1]
    assert [len(one.addresses) for one in found] == [0, 1]


def test_the_root_helper_stands_before_the_command() -> None:
    assert helper_argv(RootHelper.NONE, ["ip", "link"]) == ("ip", "link")
    assert helper_argv(RootHelper.SUDO, ["ip"])[0] == "sudo"
    assert helper_argv(RootHelper.ROOTWRAP, ["ip"])[-2:] == ("/etc/nova/rootwrap.conf", "ip")


def test_a_command_is_counted_and_timed_whether_it_fails_or_not(tmp_path: Path) -> None:
    with EventLog(tmp_path / "log") as log:
        execute = RootExecutor(RootHelper.NONE, log)
        assert execute("echo", "yes") == "yes\n"
        with pytest.raises(CommandError, match="false ended with 1"):
            execute("false")
        assert execute("false", allowed=(0, 1)) == ""
    told = [json.loads(line)["data"] for line in (tmp_path / "log").read_text().splitlines()]
    assert [one["program"] for one in told] == ["echo", "false", "false"]
    assert all(one["ns"] > 0 for one in told)
    assert execute.count == 3


@pytest.mark.parametrize(
    ("argv", "program"),
    [
        (("env", "NETWORK_ID=br101", "dnsmasq", "--domain=x"), "dnsmasq"),
        (("sysctl", "-w", "net.ipv4.ip_forward=1"), "sysctl"),
        (("env",), "env"),
    ],
)
def test_a_command_is_put_down_to_the_program_that_it_runs(argv: tuple[str, ...], program: str) -> None:
    assert program_of(argv) == program


def test_release_takes_our_rules_and_leaves_those_of_others() -> None:
    text = ":nova-filter-top - [0:0]\n[1:2] -A INPUT -j nova-network-INPUT\n[0:0] -A INPUT -j ACCEPT\nCOMMIT"
    assert without_ours(text) == "[0:0] -A INPUT -j ACCEPT\nCOMMIT"


@pytest.mark.parametrize("text", ["{", '{"interface": "eth2", "colour": "red"}', '{"root_helper": "magic"}'])
def test_settings_that_cannot_be_are_told(tmp_path: Path, text: str) -> None:
    path = tmp_path / "nova.json"
    path.write_text(text)
    with pytest.raises(InputError, match=r"nova\.json"):
        load_settings(path)
