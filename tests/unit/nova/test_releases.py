"""Each release's commands, as its own linux_net.py runs them: cold start, VLAN manager, default options."""

from __future__ import annotations

from itertools import chain
from typing import TYPE_CHECKING

import pytest
from legacy_shell import start_controller

from labctl.nova.rootexec import program_of
from labctl.nova.traits import TRAITS, Release

if TYPE_CHECKING:
    from pathlib import Path

EVERY_RELEASE = pytest.mark.parametrize("release", list(Release))

PER_TABLE = {
    Release.FOLSOM: ["iptables-save filter", "iptables-restore", "iptables-save nat", "iptables-restore"],
    Release.FOLSOM_3: [
        *("iptables-save filter", "iptables-restore"),
        *("iptables-save mangle", "iptables-restore"),
        *("iptables-save nat", "iptables-restore"),
    ],
    Release.GRIZZLY: ["iptables-save", "iptables-restore"],
    Release.HAVANA: ["iptables-save", "iptables-restore"],
}
"""One apply."""

COMMANDS = {Release.FOLSOM: 28, Release.FOLSOM_3: 34, Release.GRIZZLY: 22, Release.HAVANA: 23}
"""Root commands a network: counted with the releases' own code and a recording executor."""

BEFORE = {Release.FOLSOM: 13, Release.FOLSOM_3: 19, Release.GRIZZLY: 7, Release.HAVANA: 15}
"""Root commands before the first of three networks."""


def expected(release: Release, number: int) -> list[str]:
    """The root commands of one network, shortened as :func:`short` does."""
    vlan, bridge, apply = f"vlan{100 + number}", f"br{100 + number}", PER_TABLE[release]
    again = [f"ip link set {vlan} up"] if release is Release.HAVANA else []
    return [
        f"ip link show dev {vlan}",
        f"ip link add link eth2 name {vlan} type vlan id {100 + number}",
        f"ip link set {vlan} address MAC",
        f"ip link set {vlan} up",
        f"ip link show dev {bridge}",
        f"brctl addbr {bridge}",
        f"brctl setfd {bridge} 0",
        f"brctl stp {bridge} off",
        f"ip link set {bridge} up",
        f"brctl addif {bridge} {vlan}",
        *again,
        f"ip addr show dev {vlan} scope global",
        *apply,
        "sysctl -w net.ipv4.ip_forward=1",
        f"ip addr show dev {bridge} scope global",
        f"ip route show dev {bridge}",
        f"ip addr add 10.40.{number}.1/24 brd 10.40.{number}.255 dev {bridge}",
        *apply,
        "dnsmasq",
        *apply,
    ]


def short(argv: tuple[str, ...]) -> str:
    """A command without what a test need not know of it: a random MAC, dnsmasq's flags."""
    if program_of(argv) == "dnsmasq":
        return "dnsmasq"
    words = ["MAC" if word.startswith("fa:16:3e:") else word for word in argv]
    return " ".join(word for word in words if word not in ("-c", "-t"))


@EVERY_RELEASE
def test_a_network_takes_the_releases_own_root_commands_in_their_order(
    tmp_path: Path, release: Release
) -> None:
    _, building, _ = start_controller(tmp_path, 3, release=release)
    wanted = list(chain.from_iterable(expected(release, number) for number in (1, 2, 3)))
    assert [short(argv) for argv in building.commands] == wanted
    assert len(building.commands) == 3 * COMMANDS[release]


@EVERY_RELEASE
def test_routes_of_the_segment_are_read_without_root(tmp_path: Path, release: Release) -> None:
    before, building, _ = start_controller(tmp_path, 2, release=release)
    assert before.unprivileged == []
    assert [short(argv) for argv in building.unprivileged] == [
        "ip route show dev vlan101",
        "ip route show dev vlan102",
    ]


@EVERY_RELEASE
def test_the_counts_that_the_traits_derive_are_those_of_the_commands(
    tmp_path: Path, release: Release
) -> None:
    traits = TRAITS[release]
    before, _, _ = start_controller(tmp_path, 3, release=release)
    assert traits.commands_a_network == COMMANDS[release]
    assert traits.commands_before(3) == len(before.commands) == BEFORE[release]


@pytest.mark.parametrize("release", [Release.FOLSOM, Release.FOLSOM_3, Release.GRIZZLY])
def test_the_driver_is_initialized_by_three_applies_and_the_metadata_address(
    tmp_path: Path, release: Release
) -> None:
    before, _, _ = start_controller(tmp_path, 3, release=release)
    apply = PER_TABLE[release]
    address = "ip addr add 169.254.169.254/32 scope link dev lo"
    assert [short(argv) for argv in before.commands] == [*apply, *apply, address, *apply]


def test_2013_2_writes_the_rules_of_every_range_first_and_skips_them_at_each_network(
    tmp_path: Path,
) -> None:
    _, _, applies = start_controller(tmp_path, 3, release=Release.HAVANA)
    assert [one["skipped"] for one in applies[:7]] == [False] * 7
    assert [one["skipped"] for one in applies[7:]] == [True, True, False, False, False] * 3


@EVERY_RELEASE
def test_the_kernel_gets_the_tables_of_the_release(tmp_path: Path, release: Release) -> None:
    before, _, _ = start_controller(tmp_path, 1, release=release)
    mangle = set() if release is Release.FOLSOM else {"mangle"}
    assert set(before.tables) == {"filter", "nat"} | mangle


def test_releases_of_one_range_end_with_the_same_rules(tmp_path: Path) -> None:
    ends = [
        start_controller(tmp_path / release, 3, release=release)[0].tables
        for release in (Release.FOLSOM, Release.FOLSOM_3, Release.GRIZZLY)
    ]
    for name in ("filter", "nat"):
        assert ends[0][name] == ends[1][name] == ends[2][name]
