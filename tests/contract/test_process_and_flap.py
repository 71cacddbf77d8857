"""Processes that are stopped, started again and signalled, links that flap, black holes of one direction."""

from __future__ import annotations

import signal
import time
from typing import TYPE_CHECKING

import pytest

from labctl import fault
from labctl.errors import ActionError
from labctl.events import silent
from labctl.fault.flap import flap_link
from labctl.fault.process import continue_process, restart_process, signal_process, stop_process

if TYPE_CHECKING:
    from tests.contract.conftest import Subject

BEAT = "#!/bin/sh\nwhile sleep 0.05; do date +%s%N >/run/beat; done\n"
"""A process that can be seen to run."""


@pytest.fixture
def real(subject: Subject) -> Subject:
    if subject.runtime.name == "fake":
        pytest.skip("the fake has no processes")
    return subject


def beat(lab: Subject) -> None:
    """Start a process called heartbeat, as a daemon that no supervisor starts again."""
    lab.exec("a", "sh", "-c", "cat >/run/heartbeat; chmod +x /run/heartbeat", stdin=BEAT.encode())
    assert lab.exec("a", "sh", "-c", "setsid /run/heartbeat </dev/null >/dev/null 2>&1 &").ok
    assert beats(lab)


def beats(lab: Subject) -> bool:
    """Whether it is running."""

    def seen() -> bytes:
        return bytes(lab.exec("a", "cat", "/run/beat").stdout)

    before, end = seen(), time.monotonic() + 2
    while time.monotonic() < end:
        if seen() != before:
            return True
        time.sleep(0.05)
    return False


def test_a_process_is_stopped_and_goes_on(real: Subject) -> None:
    beat(real)
    effect = stop_process(real.runtime, real.lab, "a", "heartbeat", silent)
    assert effect.detail["stopped"] == 1
    assert not beats(real)
    assert [(one.action, one.target) for one in fault.faults(real.lab)] == [("process-stop", "a:heartbeat")]
    assert continue_process(real.runtime, real.lab, "a", "heartbeat", silent).detail["continued"] == 1
    assert beats(real)
    assert fault.faults(real.lab) == ()
    # Any process can take it back: the registry has it.
    stop_process(real.runtime, real.lab, "a", "heartbeat", silent)
    fault.undo_all(real.runtime, real.lab, silent)
    assert beats(real)


def test_a_process_that_nobody_starts_again_is_started_by_its_own_words(real: Subject) -> None:
    beat(real)
    effect = restart_process(real.runtime, real.lab, "a", "heartbeat", silent)
    assert effect.detail["started_by"] == "labctl"
    assert effect.detail["killed"] == 1
    assert beats(real)


def test_a_signal_reaches_just_the_processes_of_that_name(real: Subject) -> None:
    beat(real)
    effect = signal_process(real.runtime, real.lab, "a", "heartbeat", silent, number=signal.SIGTERM)
    assert (effect.detail["signal"], effect.detail["signalled"]) == ("SIGTERM", 1)
    assert not beats(real)
    with pytest.raises(ActionError, match="a runs no process called heartbeat"):
        signal_process(real.runtime, real.lab, "a", "heartbeat", silent, number=signal.SIGTERM)


@pytest.mark.parametrize("down_ns", [0, 700_000, 50_000_000])
def test_every_flap_is_seen_by_the_far_end_and_the_link_is_whole(real: Subject, down_ns: int) -> None:
    effect = flap_link(
        real.runtime, real.lab, "a", "b", silent, down_ns=down_ns, times=5, every_ns=100_000_000
    )
    assert effect.detail["peer_carrier_downs"] == 5
    assert int(effect.detail["down_ns_least"]) >= down_ns
    assert effect.last_ns - effect.first_ns >= 400_000_000 + down_ns
    assert real.reaches("a", "10.77.0.1")
    assert real.reaches("b", "fd77:0::1")
    assert fault.faults(real.lab) == ()


def test_a_link_that_is_cut_does_not_flap(real: Subject) -> None:
    real.cut("a", "b")
    with pytest.raises(ActionError, match="is cut: it cannot flap"):
        flap_link(real.runtime, real.lab, "a", "b", silent, down_ns=0)
    real.restore("a", "b")


def test_one_way_what_one_end_sends_is_lost_and_what_it_receives_is_not(real: Subject) -> None:
    # Each knows the other's MAC address: a reply to a request for it would be lost as well.
    assert real.reaches("a", "10.77.0.1")
    assert real.reaches("b", "10.77.0.0")
    fault.blackhole_link(real.runtime, real.lab, "a", "b", silent, sent_by="a")
    assert real.carrier("a", "eth1")

    def asked(node: str) -> int:
        """Echo requests that the kernel of a node has received."""
        words = real.exec(node, "grep", "Icmp:", "/proc/net/snmp").stdout.split(b"\n")
        names, values = (line.split() for line in words[:2])
        return int(values[names.index(b"InEchos")])

    before = asked("a"), asked("b")
    assert not real.exec("b", "ping", "-c2", "-W1", "10.77.0.0").ok
    assert not real.exec("a", "ping", "-c2", "-W1", "10.77.0.1").ok
    # What b sends arrives, and its answer is lost; what a sends does not.
    assert (asked("a") - before[0], asked("b") - before[1]) == (2, 0)
    real.restore("a", "b")
    assert real.reaches("a", "10.77.0.1")
