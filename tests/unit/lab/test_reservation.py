"""A run holds its lab: others' changes are refused, or forced and recorded."""

from __future__ import annotations

import multiprocessing
from typing import TYPE_CHECKING

import pytest

from labctl.errors import LabBusyError
from labctl.lab.reservation import changing, reserve
from labctl.lab.state import LabDir

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def lab(tmp_path: Path) -> LabDir:
    return LabDir("x", tmp_path / "labctl")


def test_a_change_during_a_run_is_refused_and_names_the_run(lab: LabDir) -> None:
    run = reserve(lab, "scenario gateway-power-cycle")
    done = []
    with (
        pytest.raises(LabBusyError, match=r"scenario gateway-power-cycle \(process \d+\)") as refused,
        changing(lab, "power-off", "gw1"),
    ):
        done.append("power-off")
    assert not done
    assert "--force" in str(refused.value)
    assert "\n" not in str(refused.value)
    assert run.changes() == ()
    run.release()


def test_a_forced_change_is_recorded_before_it_is_made(lab: LabDir) -> None:
    run = reserve(lab, "scenario s")
    with changing(lab, "power-off", "gw1", force=True):
        (change,) = run.changes()
    assert (change.action, change.target) == ("power-off", "gw1")
    assert change.by.startswith("labctl (process ")
    assert change.t_ns > 0
    assert run.changes() == (), "each is told once"
    run.release()


def test_force_without_a_run_changes_nothing_about_a_change(lab: LabDir) -> None:
    with changing(lab, "link-cut", "a:b", force=True):
        pass
    assert not lab.root.with_name("labctl-runs").exists()


def test_two_runs_never_share_a_lab(lab: LabDir) -> None:
    run = reserve(lab, "scenario first")
    with pytest.raises(LabBusyError, match="in use by a run: scenario first"):
        reserve(lab, "scenario second")
    run.release()
    reserve(lab, "scenario second").release()


def test_no_run_begins_while_somebody_changes_the_lab(lab: LabDir) -> None:
    with (
        changing(lab, "power-cycle", "gw1"),
        changing(lab, "link-cut", "a:b"),  # two people at once are none of a run's business
        pytest.raises(LabBusyError, match="another labctl is changing lab 'x' right now"),
    ):
        reserve(lab, "scenario s")
    reserve(lab, "scenario s").release()


def test_nothing_is_left_of_a_reservation(lab: LabDir) -> None:
    reserve(lab, "scenario s").release()
    assert not lab.root.with_name("labctl-runs").exists()


def _reserve_and_die(lab: LabDir) -> None:
    reserve(lab, "scenario killed")
    with changing(lab, "power-off", "gw1", force=True):
        pass


def test_the_reservation_of_a_killed_run_holds_nobody_up(lab: LabDir) -> None:
    child = multiprocessing.get_context("fork").Process(target=_reserve_and_die, args=(lab,))
    child.start()
    child.join()
    run = reserve(lab, "scenario next")
    assert run.changes() == (), "what was done to the killed run is not this one's"
    run.release()
