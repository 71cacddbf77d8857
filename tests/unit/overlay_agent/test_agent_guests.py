"""Which machines an agent ends, and which it leaves alone."""

from __future__ import annotations

import subprocess
import sys
import time
from typing import TYPE_CHECKING

import pytest

from labctl.overlay.agent.guests import Guests, GuestSpec

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

WAITING = "import sys; sys.stdin.read()"


@pytest.fixture
def guests(tmp_path: Path) -> Guests:
    return Guests(tmp_path / "vm", tmp_path / "guest")


@pytest.fixture
def machine(guests: Guests) -> Iterator[subprocess.Popen[bytes]]:
    """A machine that an earlier agent has made."""
    words = [sys.executable, "-c", WAITING, str(guests.program), "inside", "vm9"]
    with subprocess.Popen(words, stdin=subprocess.PIPE) as process:
        place = guests.folder / "vm9"
        place.mkdir(parents=True)
        (place / "key").write_text("9\n")
        (place / "pid").write_text(f"{process.pid}\n")
        # Its words stand in /proc a moment after it was started.
        deadline = time.monotonic() + 10
        while not guests.pid("vm9"):
            assert time.monotonic() < deadline
        yield process
        process.kill()


def test_a_machine_that_is_not_wanted_ends(guests: Guests, machine: subprocess.Popen[bytes]) -> None:
    guests.want({})
    assert machine.wait(10) < 0
    assert guests.interfaces() == {}
    assert not (guests.folder / "vm9").exists()


def test_a_list_that_may_be_old_ends_no_machine_and_its_interface_stays_a_port(
    guests: Guests, machine: subprocess.Popen[bytes]
) -> None:
    guests.want({}, only=False)
    assert machine.poll() is None
    assert guests.interfaces() == {GuestSpec("vm9", 9, "").interface: "vm9"}
    guests.want({})
    assert machine.wait(10) < 0
