"""The serial controllers as a user runs them: tenants come back in order, the queue last, none forgotten."""

from __future__ import annotations

import time
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from machine import Machine, machine

from labctl.journal.file import read_journal
from labctl.nova.traits import TRAITS, Release
from labctl.report.staircase_data import staircase_of
from labctl.verdict import judge
from labctl.verdict.schema import Verdict

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from labctl.events import Event
    from labctl.report.staircase_data import Staircase
    from labctl.verdict.schema import Result

pytestmark = [pytest.mark.netns, pytest.mark.slow]

LAB = "paris-e2e"
DEFAULT_TRAITS = TRAITS[Release.FOLSOM_3]
SCENARIOS = Path(__file__).parent.parent.parent / "scenarios"


@pytest.fixture(scope="module")
def host(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Machine]:
    with machine(tmp_path_factory.mktemp("paris")) as one:
        yield one


def fail_over(
    host: Machine, scenario: str, *sets: str, keep: bool = False
) -> tuple[Result, tuple[Event, ...], Staircase]:
    """Run a scenario; what its journal says."""
    words = [word for one in sets for word in ("--set", one)]
    out = host.cwd / f"{scenario}-{len(list(host.cwd.iterdir()))}"
    done = host.labctl(
        "run",
        str(SCENARIOS / f"{scenario}.yml"),
        *words,
        *(["--keep"] if keep else []),
        "--runtime",
        "netns",
        "--name",
        LAB,
        "--out",
        str(out),
        timeout_s=540,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    events = read_journal(out / "journal.jsonl")
    result = judge(events)
    stairs = staircase_of(result, events)
    assert stairs is not None
    assert (out / "staircase.html").exists()
    return result, events, stairs


@pytest.mark.parametrize(
    ("helper", "networks"), [pytest.param("none", 4, marks=pytest.mark.nightly), ("rootwrap", 2)]
)
def test_tenants_come_back_in_the_order_of_the_range_the_queue_last_and_none_is_forgotten(
    host: Machine, helper: str, networks: int
) -> None:
    before = host.census()
    result, events, stairs = fail_over(host, "paris-power-off", f"networks={networks}", f"helper={helper}")
    assert result.verdict is Verdict.PASS
    assert stairs.node == "nc2"
    assert stairs.settings["root_helper"] == helper
    assert len(stairs.tenants) == networks
    assert stairs.forgotten == ()
    assert stairs.in_order
    assert [tenant.label for tenant in stairs.tenants] == [f"tenant{n + 1}" for n in range(networks)]
    # One at a time: a network is begun when the one before is done, and its gateway answers meanwhile.
    for earlier, later in pairwise(stairs.tenants):
        assert earlier.done_s is not None
        assert later.begun_s is not None
        assert earlier.done_s <= later.begun_s
    assert {tenant.commands for tenant in stairs.tenants} == {DEFAULT_TRAITS.commands_a_network}
    assert (
        stairs.commands
        == DEFAULT_TRAITS.commands_before(networks) + networks * DEFAULT_TRAITS.commands_a_network
    )
    assert stairs.networks_s is not None
    assert stairs.queue_s is not None
    assert stairs.queue_s > stairs.networks_s
    assert all(t.answered_s is not None and t.answered_s < stairs.queue_s for t in stairs.tenants)
    # The node that returns stands by, and nobody notices.
    assert sum(fault.convergence_loss for run in result.runs for fault in run.faults if not fault.breaks) == 0
    assert not any(event.kind == "collect.failed" for event in events)
    assert host.settled(before) == before


@pytest.mark.nightly
def test_a_planned_move_is_a_fail_over_all_the_same(host: Machine) -> None:
    before = host.census()
    _, _, stairs = fail_over(host, "paris-planned-move", "networks=3", "helper=none")
    assert stairs.in_order
    assert stairs.forgotten == ()
    assert all(tenant.stopped_s is not None for tenant in stairs.tenants)
    assert host.settled(before) == before


def test_a_survivor_starts_nothing_before_it_knows_that_the_other_one_is_dark(host: Machine) -> None:
    before = host.census()
    _, events, stairs = fail_over(host, "paris-fenced", "networks=2", "helper=none")
    fence = next(e.data for e in events if e.kind == "action.done" and e.data["action"] == "fence")
    assert fence["target"] == "nc1"
    assert fence["detail"]["already"] is True
    active = [e for e in events if e.kind == "node.event" and e.data["kind"] == "cluster.active"]
    assert [e.data["node"] for e in active] == ["nc1", "nc2"]
    off = next(e.t_ns for e in events if e.kind == "action.done" and e.data["action"] == "power-off")
    # Asked for after the cut, and told before the service was started: in this order, with nothing between.
    assert off < fence["detail"]["asked_ns"] <= fence["detail"]["told_ns"] < active[1].t_ns
    assert stairs.node == "nc2"
    assert stairs.in_order
    assert stairs.forgotten == ()
    assert host.settled(before) == before


def test_deferred_applies_open_the_firewall_once_at_the_end_and_leases_live_on(host: Machine) -> None:
    before = host.census()
    sets = ("networks=3", "helper=none", "defer_applies=true", "release=2013.1")
    _, _, stairs = fail_over(host, "paris-power-off", *sets, keep=True)
    assert stairs.commands == 3 * 16 + 1 + 2
    assert stairs.forgotten == ()
    leases = inside(
        host,
        "nc2",
        "env",
        "FLAGFILE=/etc/nova/nova.conf",
        "NETWORK_ID=1",
        "/etc/nova/nova-dhcpbridge",
        "init",
    )
    assert [line.split()[2:] for line in leases.splitlines()] == [
        ["10.40.1.10", "vm1", "*"],
        ["10.40.1.11", "first", "*"],
    ]
    files = inside(host, "nc2", "sh", "-c", "stat -c %a /var/lib/labctl-nova/networks/*.conf")
    assert set(files.split()) == {"644"}, "dnsmasq must be able to read its hosts"
    # The machine had its address of the dnsmasq that is gone; the new one knows of it, and lets it stay.
    lease = "labctl: lease of 10.40.1.11/24, router 10.40.1.1, mtu 1450"
    told = host.labctl("logs", LAB, "first").stdout
    assert told.count(lease) == 1
    inside(host, "first", "sh", "-c", 'kill -USR1 "$(pidof udhcpc)"')
    after = wait_for(lambda: host.labctl("logs", LAB, "first").stdout, lambda text: text.count(lease) > 1)
    assert after.count(lease) == 2
    assert after.count("broadcasting discover") == told.count("broadcasting discover")
    host.labctl("down", LAB)
    assert host.settled(before) == before


def wait_for(look: Callable[[], str], good: Callable[[str], bool]) -> str:
    """What was seen last: good, or ten seconds later."""
    end = time.monotonic() + 10
    while not good(seen := look()) and time.monotonic() < end:
        time.sleep(0.2)
    return seen


def inside(host: Machine, node: str, *command: str) -> str:
    done = host.labctl("exec", LAB, node, "--", *command)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout
