"""The way to a lab's state database: which controller, which server first, and for how long."""

from __future__ import annotations

import socket
import threading
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, cast

import pytest

from labctl.errors import ActionError
from labctl.lab.runtime import NodeState, NodeStatus
from labctl.linux import syscalls
from labctl.overlay.client import agents
from labctl.overlay.client import database as room
from labctl.overlay.client.database import ControllerDatabase, open_overlay

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from labctl.lab.runtime import Runtime
    from labctl.lab.state import LabDir

PLAN: dict[str, Any] = {
    "section": {},
    "hosts": [{"name": "compute1", "kind": "compute", "tunnel": "198.18.0.1"}],
    "controllers": ["ctl1", "ctl2", "ctl3"],
    "servers": ["10.0.0.1:2181", "10.0.0.2:2181", "10.0.0.3:2181"],
}


class Nodes:
    """A runtime of which only the nodes' states are asked."""

    def __init__(self, netns: Path, running: set[str]) -> None:
        self._netns, self._running = netns, running
        self.entered: list[str] = []

    def states(self, _lab: LabDir) -> dict[str, NodeState]:
        return {
            name: NodeState(NodeStatus.RUNNING if name in self._running else NodeStatus.OFF, 1)
            for name in PLAN["controllers"]
        }

    def netns(self, _lab: LabDir, node: str) -> Path:
        self.entered.append(node)
        return self._netns


@dataclass
class Plan:
    """A planned lab of which only the overlay is asked."""

    overlay: dict[str, Any]


class Lab:
    """A lab of which only the name, and the folder of its definition, are asked."""

    name = "lab1"

    def __init__(self, definition: Path) -> None:
        self.definition = definition


@pytest.fixture
def space(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A namespace that is entered without leave: what is tested is who is asked, and for how long."""
    monkeypatch.setattr(syscalls, "setns", lambda _handle, _kind: None)
    (tmp_path / "net").touch()
    return tmp_path / "net"


@pytest.fixture
def silent() -> Iterator[str]:
    """A server that takes connections and never says a word."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield f"127.0.0.1:{server.getsockname()[1]}"


def reached(nodes: Nodes, plan: dict[str, Any], deadline_s: float = 5) -> ControllerDatabase:
    return ControllerDatabase(
        cast("Runtime", nodes), cast("LabDir", Lab(nodes._netns)), plan, deadline_s, 0.2
    )


class Client:
    """A session that is made at once."""

    def __init__(self) -> None:
        self.servers: list[str] = []
        self.stopped = threading.Event()

    def connect(self, servers: list[str], **_: Any) -> Client:
        self.servers = servers
        return self

    def stop(self) -> None:
        self.stopped.set()

    def close(self) -> None:
        pass


@pytest.fixture
def client(monkeypatch: pytest.MonkeyPatch) -> Client:
    made = Client()
    monkeypatch.setattr("labctl.overlay.store.session.connect", made.connect)
    return made


def work(monkeypatch: pytest.MonkeyPatch, action: Callable[[], object] = lambda: "answer") -> None:
    """What stands for everything that the database does once there is a session."""

    class Database:
        def __init__(self, _client: object) -> None:
            pass

        def state(self) -> object:
            return action()

    monkeypatch.setattr("labctl.overlay.store.nsdb.Database", Database)


def test_the_first_controller_that_runs_is_entered_and_its_own_server_comes_first(
    space: Path, client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    work(monkeypatch)
    nodes = Nodes(space, {"ctl2", "ctl3"})
    assert reached(nodes, PLAN).state() == "answer"  # type: ignore[comparison-overlap]
    assert nodes.entered == ["ctl2"]
    assert client.servers == ["10.0.0.2:2181", "10.0.0.3:2181", "10.0.0.1:2181"]
    assert client.stopped.is_set()


def test_without_a_controller_that_runs_nothing_is_tried(space: Path, client: Client) -> None:
    with pytest.raises(ActionError, match="no controller of lab lab1 is running: ctl1, ctl2, ctl3"):
        reached(Nodes(space, set()), PLAN).alive()
    assert client.servers == []


def test_a_session_whose_work_hangs_is_ended_at_the_deadline(
    space: Path, client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    work(monkeypatch, lambda: client.stopped.wait(10))
    began = time.monotonic()
    with pytest.raises(ActionError, match=r"did not answer within 0\.1 s"):
        reached(Nodes(space, {"ctl1"}), PLAN, 0.1).state()
    assert time.monotonic() - began < 5
    assert client.stopped.wait(5)


@pytest.mark.slow
def test_a_server_that_never_says_a_word_is_given_up(space: Path, silent: str) -> None:
    began = time.monotonic()
    with pytest.raises(ActionError, match=f"none of the controllers answers: {silent}"):
        reached(Nodes(space, {"ctl1"}), {**PLAN, "servers": [silent]}).state()
    assert time.monotonic() - began < 5


def test_a_connection_that_is_made_too_late_changes_nothing(
    client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    done: list[str] = []
    connection = room._Connection(PLAN["servers"], 5)
    work(monkeypatch, lambda: done.append("changed"))
    connection.cancel()
    with pytest.raises(room._Cancelled):
        connection.run(lambda database: database.state())
    assert done == []
    assert client.stopped.is_set()


@pytest.mark.parametrize(
    "overlay", [None, {}, {"hosts": [{"name": "c", "kind": "compute", "tunnel": "1.1.1.1"}]}]
)
def test_a_lab_without_an_overlay_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, overlay: dict[str, Any] | None
) -> None:
    """None: a containerlab file that somebody else wrote has no plan at all."""
    plan = None if overlay is None else Plan(overlay)
    monkeypatch.setattr(agents, "plan_of", lambda _lab: plan)
    with pytest.raises(ActionError, match="lab lab1 has no overlay: no node of it is a controller"):
        open_overlay(cast("Runtime", None), cast("LabDir", Lab(tmp_path)))


def test_controllers_are_enough_to_have_an_overlay(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    plan = Plan({"controllers": ["ctl1"], "servers": ["1.1.1.1:2181"]})
    monkeypatch.setattr(agents, "plan_of", lambda _lab: plan)
    opened = open_overlay(cast("Runtime", None), cast("LabDir", Lab(tmp_path)))
    assert opened.plan["controllers"] == ["ctl1"]
