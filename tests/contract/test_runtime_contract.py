"""What every runtime must do, each thing twice: the seam of labctl.lab.runtime as tests."""

from __future__ import annotations

import random
import subprocess
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from triangle import ADDRESSES, NODES

from labctl import fault
from labctl.errors import ActionError, LabExistsError, LabNotFoundError
from labctl.events import silent
from labctl.fault.types import PowerMode
from labctl.lab import lifecycle
from labctl.lab.loaded import load_lab_file
from labctl.lab.runtime import NodeStatus
from labctl.linux import processes

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.contract.conftest import Subject

FAR_ENDS = {"a": {("b", "eth1"), ("c", "eth2")}, "b": {("a", "eth1"), ("c", "eth1")}}


def _is_fake(subject: Subject) -> bool:
    return subject.runtime.name == "fake"


def test_every_node_runs_and_was_told_of(subject: Subject) -> None:
    for _ in range(2):
        states = subject.runtime.states(subject.lab)
        assert list(states) == list(NODES)
        assert {state.status for state in states.values()} == {NodeStatus.RUNNING}
        assert len({state.init_pid for state in states.values()} - {0}) == len(NODES)
    for kind in ("node.started", "node.ready"):
        assert {event.data["node"] for event in subject.events if event.kind == kind} == set(NODES)


def test_neighbours_reach_one_another_over_both_families(subject: Subject) -> None:
    for (node, _), addresses in ADDRESSES.items():
        for address in addresses:
            assert subject.reaches(node, address.partition("/")[0])
    assert subject.reaches("a", "10.77.0.1")
    assert subject.reaches("a", "fd77:2::1")
    assert subject.reaches("c", "fd77:1::1")


def test_exec_gives_code_and_both_streams_untouched(subject: Subject) -> None:
    for _ in range(2):
        done = subject.exec("a", "sh", "-c", "echo out; echo err >&2; exit 7")
        assert (done.code, done.stdout, done.stderr) == (7, b"out\n", b"err\n")
        assert not done.ok


def test_exec_passes_bytes_through(subject: Subject) -> None:
    every_byte = bytes(range(256)) * 300
    assert subject.exec("b", "cat", stdin=every_byte).stdout == every_byte


def test_exec_of_what_is_not_there_ends_with_127(subject: Subject) -> None:
    done = subject.exec("a", "no-such-program-anywhere")
    assert done.code == 127
    assert done.stdout == b""
    assert done.stderr


def test_exec_of_a_command_that_a_signal_ends_gives_128_and_its_number(subject: Subject) -> None:
    assert subject.exec("a", "sh", "-c", "kill -9 $$").code == 137


def test_exec_that_takes_too_long_is_an_error_and_leaves_nothing(subject: Subject) -> None:
    if _is_fake(subject):
        pytest.skip("the fake has no time")
    with pytest.raises(ActionError, match="sleep"):
        subject.exec("a", "sleep", "98765", timeout_s=0.3)
    assert b"98765" not in subject.exec("a", "sh", "-c", "cat /proc/[0-9]*/cmdline").stdout


def test_unknown_node_is_an_error_that_names_it(subject: Subject) -> None:
    calls: tuple[Callable[[], object], ...] = (
        lambda: subject.exec("zz", "true"),
        lambda: subject.runtime.logs(subject.lab, "zz"),
        lambda: subject.runtime.kill(subject.lab, "zz"),
        lambda: subject.runtime.boot(subject.lab, "zz"),
        lambda: subject.runtime.netns(subject.lab, "zz"),
        lambda: subject.runtime.shell_argv(subject.lab, "zz", ["true"]),
    )
    for call in calls:
        with pytest.raises(ActionError, match="zz"):
            call()


def test_shell_argv_runs_in_the_node(subject: Subject) -> None:
    line = subject.runtime.shell_argv(subject.lab, "b", ["hostname"])
    done = subprocess.run(line, capture_output=True, check=True, stdin=subprocess.DEVNULL)
    assert b"b" in done.stdout.split() or done.stdout.strip().endswith(b"hostname")


def test_logs_are_what_the_node_said_at_its_last_boot(subject: Subject) -> None:
    first = subject.runtime.logs(subject.lab, "a")
    assert b"a boots" in first
    if not _is_fake(subject):
        assert b"a says this on stderr" in first
    subject.power_off("a")
    assert b"a boots" in subject.runtime.logs(subject.lab, "a")
    subject.power_on("a")
    assert subject.runtime.logs(subject.lab, "a").count(b"a boots") == 1


def test_power_off_takes_carrier_from_every_peer_and_nothing_else(subject: Subject) -> None:
    effect = subject.power_off("a")
    assert {change.node for change in effect.carriers} == {"b", "c"}
    assert all(change.t_ns for change in effect.carriers)
    again = subject.power_off("a")
    assert _is_fake(subject) or again.detail["already"]
    assert subject.runtime.states(subject.lab)["a"].status is NodeStatus.OFF
    assert subject.runtime.states(subject.lab)["a"].init_pid == 0
    for node, interface in FAR_ENDS["a"]:
        assert not subject.carrier(node, interface)
    assert subject.carrier("b", "eth2")
    assert subject.carrier("c", "eth1")
    with pytest.raises(ActionError, match="off"):
        subject.exec("a", "true")
    with pytest.raises(ActionError, match="off"):
        subject.runtime.netns(subject.lab, "a")
    if not _is_fake(subject):
        told = subject.exec("b", "ip", "-br", "addr", "show", "dev", "eth1").stdout.decode()
        assert "10.77.0.1/31" in told
        assert "fd77::2/64" in told


def test_power_on_brings_the_same_links_back(subject: Subject) -> None:
    before = _identities(subject)
    for _ in range(2):
        subject.power_off("a")
        effect = subject.power_on("a")
        assert {change.node for change in effect.carriers} == {"b", "c"}
        assert "unseen" not in effect.detail
        assert subject.runtime.states(subject.lab)["a"].status is NodeStatus.RUNNING
        for node, interface in (*FAR_ENDS["a"], ("a", "eth1"), ("a", "eth2")):
            assert subject.carrier(node, interface)
        assert subject.reaches("a", "10.77.0.1")
        assert subject.reaches("c", "fd77:2::2")
        assert _identities(subject) == before
    again = subject.power_on("a")
    assert _is_fake(subject) or again.detail["already"]


def test_two_neighbours_without_power_come_back_in_either_order(subject: Subject) -> None:
    for first, second in (("a", "b"), ("b", "a")):
        subject.power_off("a")
        subject.power_off("b")
        subject.power_on(first)
        assert not subject.carrier(first, "eth1")
        subject.power_on(second)
        assert subject.carrier("a", "eth1")
        assert subject.carrier("b", "eth1")
        assert subject.reaches("a", "10.77.0.1")


def test_a_frozen_node_keeps_carrier_and_thaws_at_power_on(subject: Subject) -> None:
    if _is_fake(subject):
        pytest.skip("the fake has no processes to freeze")
    pid = subject.runtime.states(subject.lab)["a"].init_pid
    for _ in range(2):
        subject.power_off("a", PowerMode.FREEZE)
        assert subject.runtime.states(subject.lab)["a"].status is NodeStatus.FROZEN
        assert subject.carrier("b", "eth1")
        assert subject.reaches("b", "10.77.0.0")  # the kernel answers, as it does
    assert subject.power_on("a").detail["thawed"]
    state = subject.runtime.states(subject.lab)["a"]
    assert (state.status, state.init_pid) == (NodeStatus.RUNNING, pid)


def test_a_graceful_power_off_lets_the_node_say_goodbye(subject: Subject) -> None:
    if _is_fake(subject):
        pytest.skip("the fake has nothing to say")
    effect = subject.power_off("a", PowerMode.GRACEFUL)
    assert "stop" not in effect.detail
    assert b"goodbye" in subject.runtime.logs(subject.lab, "a")
    subject.power_on("a")
    assert subject.reaches("a", "10.77.0.1")


def test_a_cut_link_loses_carrier_at_both_ends_and_comes_back_whole(subject: Subject) -> None:
    before = _identities(subject)
    for _ in range(2):
        effect = subject.cut("a", "b")
        subject.cut("b", "a")
        assert "unseen" not in effect.detail
        assert not subject.carrier("a", "eth1")
        assert not subject.carrier("b", "eth1")
        assert subject.carrier("a", "eth2")
        assert _addresses(subject) == ADDRESSES or _is_fake(subject)
        subject.restore("a", "b")
        subject.restore("a", "b")
        assert subject.carrier("a", "eth1")
        assert subject.carrier("b", "eth1")
        assert subject.reaches("a", "10.77.0.1")
        assert subject.reaches("b", "fd77:0::1")
        assert _identities(subject) == before


def test_a_link_that_is_cut_stays_cut_over_the_power_cycle_of_either_end(subject: Subject) -> None:
    subject.cut("a", "b")
    for node in ("a", "b"):
        subject.power_off(node)
        subject.power_on(node)
        assert not subject.carrier("a", "eth1")
        assert not subject.carrier("b", "eth1")
        assert subject.carrier("a", "eth2")
    subject.restore("a", "b")
    assert subject.carrier("a", "eth1")
    assert subject.carrier("b", "eth1")
    assert subject.reaches("a", "10.77.0.1")
    assert subject.reaches("a", "fd77:0::2")


def test_no_link_and_no_node_of_that_name_are_errors_that_name_what_is_there(subject: Subject) -> None:
    if _is_fake(subject):
        pytest.skip("the fake's faults are its own")
    with pytest.raises(ActionError, match="no node 'zz'"):
        subject.cut("a", "zz")
    with pytest.raises(ActionError, match="has links to: b, c"):
        subject.cut("a:eth7", "b")
    with pytest.raises(ActionError, match="no node 'zz'"):
        subject.power_off("zz")


def test_a_black_hole_keeps_carrier_and_loses_everything_until_it_is_undone(subject: Subject) -> None:
    if _is_fake(subject):
        pytest.skip("the fake has no packets")
    for _ in range(2):
        fault.blackhole_link(subject.runtime, subject.lab, "a", "b", silent)
        assert subject.carrier("a", "eth1")
        assert not subject.exec("a", "ping", "-c1", "-W1", "10.77.0.1").ok
        assert not subject.exec("b", "ping", "-c1", "-W1", "10.77.0.0").ok
        assert subject.reaches("a", "10.77.0.4")
    fault.blackhole_node(subject.runtime, subject.lab, "a", silent)
    assert not subject.exec("c", "ping", "-c1", "-W1", "10.77.0.5").ok
    fault.restore_node(subject.runtime, subject.lab, "a", silent)
    assert subject.reaches("a", "10.77.0.4")
    assert not subject.exec("a", "ping", "-c1", "-W1", "10.77.0.1").ok  # the link's own is still in force
    subject.restore("a", "b")
    assert subject.reaches("a", "10.77.0.1")
    assert fault.faults(subject.lab) == ()


def test_black_holes_outlive_a_power_cycle_of_their_node(subject: Subject) -> None:
    if _is_fake(subject):
        pytest.skip("the fake has no packets")
    fault.blackhole_node(subject.runtime, subject.lab, "a", silent)
    fault.blackhole_link(subject.runtime, subject.lab, "b", "c", silent)
    for node in ("a", "b", "c"):
        subject.power_off(node)
        subject.power_on(node)
    subject.wait_ready()
    for node, address in (("c", "10.77.0.5"), ("a", "10.77.0.1"), ("c", "10.77.0.2")):
        assert not subject.exec(node, "ping", "-c1", "-W1", address).ok
    fault.undo_all(subject.runtime, subject.lab, silent)
    for node, address in (("c", "10.77.0.5"), ("a", "10.77.0.1"), ("b", "10.77.0.3")):
        subject.exec(node, "ip", "neigh", "flush", "all")  # that it asked in vain is remembered for a while
        assert subject.reaches(node, address)


def test_all_faults_are_undone_the_latest_first(subject: Subject) -> None:
    if _is_fake(subject):
        pytest.skip("the fake's faults are its own")
    before = _identities(subject)
    subject.cut("a", "b")
    fault.blackhole_link(subject.runtime, subject.lab, "b", "c", silent)
    subject.power_off("a")
    subject.power_off("c", PowerMode.FREEZE)
    done = fault.undo_all(subject.runtime, subject.lab, silent)
    assert [(effect.action, effect.target) for effect in done] == [
        ("power-on", "c"),
        ("power-on", "a"),
        ("link-restore", "b:eth2-c:eth1"),
        ("link-restore", "a:eth1-b:eth1"),
    ]
    subject.wait_ready()
    assert fault.faults(subject.lab) == ()
    assert fault.undo_all(subject.runtime, subject.lab, silent) == ()
    assert _identities(subject) == before
    for node, address in (("a", "10.77.0.1"), ("b", "10.77.0.3"), ("c", "10.77.0.5"), ("a", "fd77:0::2")):
        assert subject.reaches(node, address)


def test_a_cut_gives_static_routes_back(subject: Subject) -> None:
    if _is_fake(subject):
        pytest.skip("the fake has no routes")
    for node, via4, via6 in (("a", "10.77.0.1", "fd77:0::2"), ("b", "10.77.0.0", "fd77:0::1")):
        for words in (
            f"route add 10.99.0.0/24 via {via4}",
            f"-6 route add fd99::/64 via {via6}",
            f"route add default nexthop via {via4} nexthop dev eth2",
        ):
            assert subject.exec(node, "ip", *words.split()).ok
    before = {node: _routes(subject, node) for node in "ab"}
    for _ in range(2):
        subject.cut("a", "b")
        subject.restore("a", "b")
        assert {node: _routes(subject, node) for node in "ab"} == before


@pytest.mark.slow
def test_twenty_power_cycles_of_any_node_two_at_a_time(subject: Subject) -> None:
    before = _identities(subject)
    chance = random.Random(20)
    with ThreadPoolExecutor(2) as pool:
        for _ in range(20):
            pair = chance.sample(NODES, 2)
            assert all(not effect.detail.get("already") for effect in pool.map(subject.power_off, pair))
            assert all(not effect.detail.get("already") for effect in pool.map(subject.power_on, pair))
    assert _identities(subject) == before
    for node, interface in ADDRESSES:
        assert subject.carrier(node, interface)
    for address in ("10.77.0.1", "10.77.0.4", "fd77:0::2", "fd77:2::1"):
        assert subject.reaches("a", address)


def test_a_second_up_is_refused_and_changes_nothing(subject: Subject) -> None:
    if _is_fake(subject):
        pytest.skip("the fake is not brought up by labs")
    before = subject.runtime.states(subject.lab)
    with pytest.raises(LabExistsError, match="up already"):
        lifecycle.bring_up(
            load_lab_file(subject.path),
            runtime=subject.runtime.name,
            timeout_s=1,
            listen=silent,
            root=subject.lab.root,
        )
    assert subject.runtime.states(subject.lab) == before


def test_down_leaves_nothing_and_again_is_no_error(subject: Subject) -> None:
    pids = [state.init_pid for state in subject.runtime.states(subject.lab).values()]
    for _ in range(2):
        subject.down()
        assert not subject.lab.path.exists()
    if not _is_fake(subject):
        _await_reaped(pids)
        assert str(subject.lab.root) not in Path("/proc/self/mountinfo").read_text()
    with pytest.raises(LabNotFoundError):
        subject.runtime.states(subject.lab)


def test_down_works_with_power_off_and_links_cut(subject: Subject) -> None:
    subject.cut("b", "c")
    subject.power_off("a")
    subject.down()
    assert not subject.lab.path.exists()
    assert str(subject.lab.root) not in Path("/proc/self/mountinfo").read_text()


def _await_reaped(pids: list[int]) -> None:
    """They are dead; the host's own init takes a moment to say so."""
    end = time.monotonic() + 2.0
    while there := [pid for pid in pids if Path(f"/proc/{pid}").exists()]:
        assert time.monotonic() < end, there
        assert all(processes.halted(pid) for pid in there)
        time.sleep(0.01)


def _identities(subject: Subject) -> dict[tuple[str, str], tuple[str, str]]:
    """MAC and MTU of every interface."""
    if _is_fake(subject):
        return {}
    found = {}
    for node, interface in ADDRESSES:
        there = f"/sys/class/net/{interface}"
        mac, mtu = subject.exec(node, "cat", f"{there}/address", f"{there}/mtu").stdout.decode().split()
        found[node, interface] = (mac, mtu)
    return found


def _routes(subject: Subject, node: str) -> list[str]:
    told = subject.exec(node, "sh", "-c", "ip route; ip -6 route").stdout.decode()
    return sorted(line.strip() for line in told.splitlines())


def _addresses(subject: Subject) -> dict[tuple[str, str], tuple[str, str]]:
    """The global addresses of every interface as the file gives them."""
    if _is_fake(subject):
        return {}
    found = {}
    for node, interface in ADDRESSES:
        told = subject.exec(node, "ip", "-br", "addr", "show", "dev", interface, "scope", "global")
        four, six = told.stdout.decode().split()[2:4]
        found[node, interface] = (four, six.replace("fd77::", "fd77:0::"))
    return found
