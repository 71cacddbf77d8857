"""Work in a network namespace is waited for as long as it may take, and told to end after that."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

import pytest

from labctl.linux import syscalls
from labctl.linux.netns import inside

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def space(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A namespace that is entered without leave: what is tested is the waiting."""
    monkeypatch.setattr(syscalls, "setns", lambda _handle, _kind: None)
    (tmp_path / "net").touch()
    return tmp_path / "net"


def test_what_the_work_gives_or_raises_reaches_the_caller(space: Path) -> None:
    assert inside(space, lambda: 42, timeout_s=5, cancel=pytest.fail) == 42
    with pytest.raises(ZeroDivisionError):
        inside(space, lambda: 1 // 0, timeout_s=5, cancel=pytest.fail)
    with pytest.raises(FileNotFoundError):
        inside(space.with_name("gone"), lambda: 42)


def test_work_that_takes_too_long_is_told_to_end(space: Path) -> None:
    ended = threading.Event()
    with pytest.raises(TimeoutError):
        inside(space, lambda: ended.wait(10), timeout_s=0.05, cancel=ended.set)
    assert ended.is_set()


def test_a_caller_that_is_interrupted_tells_the_work_to_end(
    space: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ended = threading.Event()

    class Interrupted(threading.Thread):
        def join(self, timeout: float | None = None) -> None:  # noqa: ARG002 - the thread's own
            raise KeyboardInterrupt

    monkeypatch.setattr(threading, "Thread", Interrupted)
    with pytest.raises(KeyboardInterrupt):
        inside(space, lambda: ended.wait(10), cancel=ended.set)
    assert ended.is_set()
