"""The controller over a make-believe shell: order, count of commands, settings."""

from __future__ import annotations

import json
from itertools import islice
from typing import TYPE_CHECKING

import pytest
from legacy import network
from legacy_shell import Shell, start_controller

from labctl.errors import InputError
from labctl.nova.database import networks_of
from labctl.nova.dhcp import dnsmasq_argv
from labctl.nova.eventlog import EventLog
from labctl.nova.firewall import Firewall
from labctl.nova.queue import retry_delays
from labctl.nova.release import without_ours
from labctl.nova.rootexec import CommandError, RootExecutor, helper_argv, program_of
from labctl.nova.settings import Dhcpbridge, RootHelper, load_settings
from labctl.nova.traits import TRAITS, Release

if TYPE_CHECKING:
    from pathlib import Path


def test_every_apply_writes_all_rules_so_that_the_work_grows_with_the_square(tmp_path: Path) -> None:
    _, _, applies = start_controller(tmp_path, 8)
    written = [one["rules"] for one in applies]
    assert written == sorted(written)
    assert written[-1] - written[len(written) // 2] > 0


def test_deferred_applies_are_one(tmp_path: Path) -> None:
    shell = Shell()
    with EventLog(tmp_path / "log") as log:
        firewall = Firewall(shell, log, tmp_path / "lock", TRAITS[Release.FOLSOM])
        with firewall.deferred():
            for bridge in ("br1", "br2"):
                firewall.tables["filter"].add("FORWARD", f"-i {bridge} -j ACCEPT")
                firewall.apply()
    assert [argv[0] for argv in shell.commands] == ["iptables-save", "iptables-restore"] * 2
    assert "-i br1 -j ACCEPT" in shell.tables["filter"]
    assert "-i br2 -j ACCEPT" in shell.tables["filter"]


def test_dnsmasq_has_novas_flags(tmp_path: Path) -> None:
    words = dnsmasq_argv(network(0), tmp_path, Dhcpbridge.PYTHON)
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
        assert execute("echo", "all", root=False) == "all\n"
    events = [json.loads(line) for line in (tmp_path / "log").read_text().splitlines()]
    assert [event["kind"] for event in events] == [*["command"] * 3, "command.unprivileged"]
    told = [event["data"] for event in events]
    assert [one["program"] for one in told] == ["echo", "false", "false", "echo"]
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


@pytest.mark.parametrize(
    "text",
    ["{", '{"interface": "eth2", "colour": "red"}', '{"root_helper": "magic"}', '{"release": "2011.3"}'],
)
def test_settings_that_cannot_be_are_told(tmp_path: Path, text: str) -> None:
    path = tmp_path / "nova.json"
    path.write_text(text)
    with pytest.raises(InputError, match=r"nova\.json"):
        load_settings(path)


@pytest.mark.parametrize(
    ("kind", "said"),
    [
        (
            Dhcpbridge.PYTHON,
            ["FLAGFILE=/etc/nova/nova.conf", "NETWORK_ID=1", "--dhcp-script=/etc/nova/nova-dhcpbridge"],
        ),
        (Dhcpbridge.SHELL, ["NETWORK_ID=br101", "--dhcp-script=/etc/nova/dhcpbridge"]),
    ],
)
def test_dnsmasq_is_told_what_to_run_and_for_which_network(
    tmp_path: Path, kind: Dhcpbridge, said: list[str]
) -> None:
    _, building, _ = start_controller(tmp_path, 1, dhcpbridge=kind)
    argv = next(argv for argv in building.commands if argv[0] == "env")
    told = ("FLAGFILE=", "NETWORK_ID=", "--dhcp-script=")
    assert [word for word in argv if word.startswith(told)] == said
