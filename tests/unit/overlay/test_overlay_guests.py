"""VMs that are no nodes: which are begun, told, ended and left alone, with a program that stands in."""

from __future__ import annotations

import os
import select
import socket
import time
from typing import TYPE_CHECKING

import pytest

from labctl.overlay.agent.guests import MAKING_AT_ONCE, Guests, GuestSpec

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

MAC = "02:6c:00:00:00:07"
LIVES = """#!/bin/sh
echo "$@" >"$0.$1.words"
echo "$1 made"
read -r word
echo "$word" >"$0.$1.told"
exec sleep 60
"""
FAILS = '#!/bin/sh\necho x >>"$0.tries"\nexit 3\n'


def make(tmp_path: Path, text: str) -> Guests:
    program = tmp_path / "guest"
    program.write_text(text)
    program.chmod(0o755)
    return Guests(tmp_path / "vm", program)


@pytest.fixture
def lives(tmp_path: Path) -> Iterator[Guests]:
    guests = make(tmp_path, LIVES)
    yield guests
    guests.want({})
    deadline = time.monotonic() + 5
    while guests._makers and time.monotonic() < deadline:
        guests.tend()
        time.sleep(0.01)
    assert not guests._makers
    for end in guests._pipe:
        os.close(end)


def until(what: Callable[[], object]) -> None:
    deadline = time.monotonic() + 10
    while not what():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_a_machine_is_made_bound_and_told(lives: Guests, tmp_path: Path) -> None:
    lives.want({7: GuestSpec("dev-vm1", 7, MAC)})
    assert select.select([lives], [], [], 10)[0]
    lives.take_notices()
    assert not select.select([lives], [], [], 0)[0]
    assert lives.interfaces() == {"lc-vm7": "dev-vm1"}
    assert (tmp_path / "guest.dev-vm1.words").read_text() == f"dev-vm1 lc-vm7 {MAC}\n"
    told = tmp_path / "guest.dev-vm1.told"
    assert not told.exists()
    lives.bound("lc-vm7")
    until(lambda: told.exists() and told.read_text() == "bound\n")


def test_one_that_is_wanted_no_more_goes_with_all_that_is_known_of_it(lives: Guests) -> None:
    lives.want({7: GuestSpec("dev-vm1", 7, MAC), 8: GuestSpec("dev-vm2", 8, MAC)})
    first = lives._makers[7].process
    lives.want({8: GuestSpec("dev-vm2", 8, MAC)})
    assert first.wait(10) == -9
    assert [entry.name for entry in lives.folder.iterdir()] == ["dev-vm2"]
    assert lives._makers[8].process.poll() is None


def test_the_same_name_with_another_key_is_another_machine(lives: Guests) -> None:
    lives.want({7: GuestSpec("dev-vm1", 7, MAC)})
    first = lives._makers[7].process
    lives.want({9: GuestSpec("dev-vm1", 9, MAC)})
    assert first.wait(10) == -9
    assert (lives.folder / "dev-vm1" / "key").read_text() == "9\n"


def test_only_a_few_are_made_at_once(lives: Guests) -> None:
    lives.want({key: GuestSpec(f"vm{key}", key, MAC) for key in range(1, 20)})
    assert len(lives._makers) == MAKING_AT_ONCE


def test_a_machine_that_another_agent_has_made_is_left_alone(
    lives: Guests, monkeypatch: pytest.MonkeyPatch
) -> None:
    place = lives.folder / "dev-vm1"
    place.mkdir(parents=True)
    (place / "key").write_text("7\n")
    monkeypatch.setattr(socket, "if_nameindex", lambda: [(1, "lo"), (5, "lc-vm7")])
    lives.want({7: GuestSpec("dev-vm1", 7, MAC)})
    assert not lives._makers
    assert lives.interfaces() == {"lc-vm7": "dev-vm1"}
    assert (place / "key").exists()


def test_what_cannot_be_made_is_not_tried_again_at_once(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    guests = make(tmp_path, FAILS)
    guests.want({7: GuestSpec("dev-vm1", 7, MAC)})
    until(lambda: guests._makers[7].process.poll() is not None)
    for _ in range(3):
        guests.tend()
    assert (tmp_path / "guest.tries").read_text() == "x\n"
    assert "dev-vm1 ended with 3" in capsys.readouterr().out


def test_a_name_that_leads_elsewhere_is_no_machine(lives: Guests) -> None:
    lives.want({7: GuestSpec("../evil", 7, MAC)})
    assert not lives._makers
    assert not lives.folder.exists()


def test_a_number_that_somebody_else_has_by_now_is_no_machine(lives: Guests) -> None:
    place = lives.folder / "dev-vm1"
    place.mkdir(parents=True)
    (place / "pid").write_text(f"{os.getpid()}\n")
    assert lives.pid("dev-vm1") == 0
