"""A freeze has a bound, whatever the processes of the node do."""

from __future__ import annotations

import os
import time
from typing import TYPE_CHECKING

import pytest

from labctl.errors import ActionError
from labctl.fault import freeze as subject
from labctl.linux import processes
from labctl.linux.freezer import Freezer

if TYPE_CHECKING:
    from pathlib import Path

BOUND_S = 0.005
LATE_S = 0.3  # a busy machine may come back to us late, but far earlier than the freeze gives up
GIVES_UP_S = 0.5


@pytest.fixture
def group(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A control group of plain files: nothing in it stops unless the test says so."""
    (tmp_path / "cgroup.procs").write_text(f"{os.getpid()}\n")
    (tmp_path / "cgroup.events").write_text("populated 1\nfrozen 0\n")
    monkeypatch.setattr(subject, "freezer_of", lambda _: Freezer(tmp_path, 2))
    monkeypatch.setattr(subject, "_STOPPED_S", GIVES_UP_S)
    monkeypatch.setattr(processes, "members", lambda *_: [os.getpid()])
    return tmp_path


def test_a_node_that_does_not_stop_holds_up_nothing_for_longer_than_the_bound(group: Path) -> None:
    with subject.BoundedFreeze(os.getpid()) as freezing:
        begin = time.monotonic()
        whole, waited_ns = freezing.within(BOUND_S)
        assert time.monotonic() - begin < LATE_S
    assert not whole
    assert BOUND_S <= waited_ns / 1e9 < LATE_S
    assert freezing.processes == 1
    assert (group / "cgroup.freeze").read_text() == "1"


@pytest.mark.slow
@pytest.mark.usefixtures("group")
def test_a_kernel_that_keeps_us_waiting_holds_up_nothing_and_has_ended_with_the_context(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(Freezer, "freeze", lambda _: time.sleep(GIVES_UP_S))
    begin = time.monotonic()
    with subject.BoundedFreeze(os.getpid()) as freezing:
        freezing.within(BOUND_S)
        assert time.monotonic() - begin < LATE_S
    assert time.monotonic() - begin >= GIVES_UP_S


def test_a_node_that_stops_at_once_is_not_waited_for(group: Path) -> None:
    (group / "cgroup.events").write_text("populated 1\nfrozen 1\n")
    with subject.BoundedFreeze(os.getpid()) as freezing:
        whole, waited_ns = freezing.within(10.0)
    assert whole
    assert waited_ns / 1e9 < LATE_S


@pytest.mark.slow
@pytest.mark.usefixtures("group")
def test_a_freeze_without_a_bound_says_that_not_all_have_stopped() -> None:
    with pytest.raises(ActionError, match="have not stopped within"):
        subject.freeze(os.getpid())
