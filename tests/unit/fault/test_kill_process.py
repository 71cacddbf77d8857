"""Processes of a node killed by name."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from labctl.errors import ActionError
from labctl.events import silent
from labctl.fault import process
from labctl.fault.process import kill_process
from labctl.fault.undo import undo_all
from labctl.linux import processes

if TYPE_CHECKING:
    from labctl.fault.types import Effect
    from labctl.testing.fault_bed import Bed


def _init(bed: Bed, node: str) -> int:
    return bed.runtime.states(bed.lab)[node].init_pid


def _kill(bed: Bed, name: str) -> Effect:
    return kill_process(bed.runtime, bed.lab, "a", name, silent)


def test_every_process_of_that_name_in_that_node_is_killed(bed: Bed) -> None:
    here = [bed.kernel.run(_init(bed, "a"), b"/usr/lib/frr/bgpd\0-A\0") for _ in range(2)]
    other = bed.kernel.run(_init(bed, "a"), b"/usr/lib/frr/zebra\0")
    elsewhere = bed.kernel.run(_init(bed, "b"), b"/usr/lib/frr/bgpd\0")
    effect = _kill(bed, "bgpd")
    assert (effect.action, effect.target) == ("kill", "a")
    assert effect.detail["killed"] == 2
    assert effect.detail["process"] == "bgpd"
    assert "back_ms" not in effect.detail  # nobody brought one back
    assert [processes.namespace_of(pid, "pid") is None for pid in here] == [True, True]
    assert None not in [processes.namespace_of(pid, "pid") for pid in (other, elsewhere)]
    assert bed.in_force == []  # its own supervisor undoes it


def test_the_first_process_of_a_node_is_never_meant(bed: Bed) -> None:
    bed.kernel.run(_init(bed, "a"), b"/usr/lib/frr/zebra\0")
    with pytest.raises(ActionError, match="a runs no process called tini; it runs tini, zebra"):
        _kill(bed, "tini")


def test_a_process_that_is_back_is_told_with_its_time(bed: Bed, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(process, "_BACK_S", 5.0)
    init = _init(bed, "a")
    bed.kernel.run(init, b"/usr/lib/frr/bgpd\0")
    end = processes.end

    def end_and_restart(pids: list[int], timeout_s: float) -> list[int]:
        left = end(pids, timeout_s)
        bed.kernel.run(init, b"/usr/lib/frr/bgpd\0")
        return left

    monkeypatch.setattr(processes, "end", end_and_restart)
    assert int(_kill(bed, "bgpd").detail["back_ms"]) >= 0


def test_one_that_does_not_end_is_an_error(bed: Bed, monkeypatch: pytest.MonkeyPatch) -> None:
    pid = bed.kernel.run(_init(bed, "a"), b"bgpd\0")
    monkeypatch.setattr(processes, "end", lambda _pids, _timeout_s: [pid])
    with pytest.raises(ActionError, match="a: bgpd has not ended within 5 s"):
        _kill(bed, "bgpd")


def test_a_node_without_power_runs_nothing(bed: Bed) -> None:
    bed.runtime.kill(bed.lab, "a")
    with pytest.raises(ActionError, match="a is not running"):
        _kill(bed, "bgpd")


# ---- stopped, continued, signalled --------------------------------------------------------------------


def test_a_stop_is_recorded_first_and_ends_with_continue(bed: Bed) -> None:
    init = _init(bed, "a")
    pid = bed.kernel.run(init, b"/usr/lib/frr/bgpd\0")
    seen: list[list[str]] = []
    bed.kernel.before_change = lambda _change: seen.append(bed.in_force)
    effect = process.stop_process(bed.runtime, bed.lab, "a", "bgpd", silent)
    assert (effect.action, effect.target, effect.detail["stopped"]) == ("process-stop", "a", 1)
    assert seen[0] == ["process-stop a:bgpd"]
    assert bed.kernel.stopped(pid)
    done = process.continue_process(bed.runtime, bed.lab, "a", "bgpd", silent)
    assert (done.detail["continued"], bed.in_force) == (1, [])
    assert not bed.kernel.stopped(pid)
    # Again there is nothing to do, and it is no error.
    assert process.continue_process(bed.runtime, bed.lab, "a", "bgpd", silent).detail["continued"] == 0


def test_a_stop_is_taken_back_by_any_process(bed: Bed) -> None:
    pid = bed.kernel.run(_init(bed, "a"), b"/usr/lib/frr/bgpd\0")
    process.stop_process(bed.runtime, bed.lab, "a", "bgpd", silent)
    assert [one.action for one in undo_all(bed.runtime, bed.lab, silent)] == ["process-continue"]
    assert not bed.kernel.stopped(pid)
    assert bed.in_force == []


def test_what_runs_under_another_name_is_not_stopped(bed: Bed) -> None:
    bed.kernel.run(_init(bed, "a"), b"/usr/lib/frr/zebra\0")
    with pytest.raises(ActionError, match="a runs no process called bgpd; it runs "):
        process.stop_process(bed.runtime, bed.lab, "a", "bgpd", silent)
    assert bed.in_force == []
