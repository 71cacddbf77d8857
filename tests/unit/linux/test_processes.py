"""What may be seen of other people's processes."""

from __future__ import annotations

import os
import subprocess
from typing import TYPE_CHECKING

from labctl.lab.runtime import NodeState, NodeStatus
from labctl.lab.state import LabDir
from labctl.linux import processes
from labctl.runtime.embedded.runtime import NetnsRuntime

if TYPE_CHECKING:
    from pathlib import Path

    import pytest

NOBODY = 65534


def hidden_from_nobody(pid: int) -> bool:
    """Whether the namespaces of a process of root's are hidden from an ordinary user."""
    child = os.fork()
    if not child:
        if os.geteuid() == 0:
            os.setresuid(NOBODY, NOBODY, NOBODY)
        os._exit(processes.hidden(pid))
    return bool(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))


def test_processes_of_root_are_hidden_from_others_and_those_that_are_gone_are_not() -> None:
    assert hidden_from_nobody(1)
    gone = subprocess.Popen(["true"])
    gone.wait()
    assert not hidden_from_nobody(gone.pid)
    assert not processes.hidden(os.getpid())


def test_a_node_that_may_not_be_looked_at_is_not_said_to_be_off(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lab = LabDir("x", tmp_path)
    (lab.path / "init").mkdir(parents=True)
    (lab.path / "init" / "a").write_text("1\n")
    runtime = NetnsRuntime()
    monkeypatch.setattr(processes, "namespace_of", lambda *_: None)
    for hidden, status in ((True, NodeStatus.UNKNOWN), (False, NodeStatus.OFF)):
        monkeypatch.setattr(processes, "hidden", lambda _, hidden=hidden: hidden)
        assert runtime._state(lab, "a") == NodeState(status)
    assert runtime._state(lab, "b") == NodeState(NodeStatus.MISSING)
