"""The mirror over an ensemble in memory: what an agent is given while the database changes or is away."""

from __future__ import annotations

import threading
import time
from functools import partial
from typing import TYPE_CHECKING

import pytest
from virtual import two_tenants

from labctl.overlay.config.plan import plan_tenant
from labctl.overlay.store import mirror as room
from labctl.overlay.store.mirror import Mirror, Update
from labctl.overlay.store.nsdb import ROOT, Database, Head
from labctl.testing.zookeeper import FakeClient, FakeZooKeeper

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from labctl.overlay.config.state import Edit


class Updates:
    """What a mirror emitted."""

    def __init__(self) -> None:
        self.all: list[Update] = []
        self._more = threading.Condition()

    def __call__(self, update: Update) -> None:
        with self._more:
            self.all.append(update)
            self._more.notify_all()

    def wait_for(self, wanted: Callable[[Update], bool], since: int = 0) -> Update:
        with self._more:
            assert self._more.wait_for(lambda: any(map(wanted, self.all[since:])), 10), self.all
            return next(one for one in self.all[since:] if wanted(one))


class Follower:
    """A mirror with its client and what it emitted."""

    def __init__(self, server: FakeZooKeeper, copy: Path | None = None, host: str = "") -> None:
        self.client = server.client()
        self.updates = Updates()
        self.mirror = Mirror(self.client, self.updates, host=host, copy=copy)
        self.mirror.start()
        self._running = True

    def stop(self) -> None:
        if self._running:
            self.mirror.stop()
        self._running = False

    def after(self, action: Callable[[], object], wanted: Callable[[Update], bool]) -> Update:
        """The first update of that kind that follows an action."""
        count = len(self.updates.all)
        action()
        return self.updates.wait_for(wanted, count)


@pytest.fixture
def server() -> FakeZooKeeper:
    return FakeZooKeeper()


@pytest.fixture
def database(server: FakeZooKeeper) -> Database:
    client = server.client()
    client.start()
    return Database(client)


@pytest.fixture
def follow(server: FakeZooKeeper) -> Iterator[Callable[..., Follower]]:
    running: list[Follower] = []

    def begin(copy: Path | None = None, host: str = "") -> Follower:
        running.append(Follower(server, copy, host))
        return running[-1]

    yield begin
    for one in running:
        one.stop()


def put_world(edit: Edit) -> None:
    edit.put(*two_tenants().items())


def fresh(revision: int) -> Callable[[Update], bool]:
    return lambda update: update.fresh and update.revision == revision


def stale(update: Update) -> bool:
    return not update.fresh


def test_an_empty_database_is_complete_and_has_nothing(follow: Callable[..., Follower]) -> None:
    update = follow().updates.wait_for(fresh(0))
    assert update.topology.complete
    assert not update.topology.ports


def test_a_change_is_emitted_with_what_it_touches_and_only_its_documents_are_read(
    database: Database, follow: Callable[..., Follower], monkeypatch: pytest.MonkeyPatch
) -> None:
    database.change(put_world)
    one = follow()
    before = one.updates.wait_for(fresh(1))
    assert "t1-vm1" in before.topology.ports
    read: list[str] = []
    inner = FakeClient.get_async

    def get_async(self: FakeClient, path: str) -> object:
        if self is one.client:
            read.append(path)
        return inner(self, path)

    monkeypatch.setattr(FakeClient, "get_async", get_async)
    after = one.after(lambda: database.change(lambda edit: edit.remove_tenant("t2")), fresh(2))
    assert "t2-vm1" not in after.topology.ports
    assert read == [f"{ROOT}/documents/tenant.t2"]
    assert any("t2" in tag for tag in after.tags)
    assert not any("t1" in tag for tag in after.tags)


def test_while_the_database_is_away_the_last_topology_stands_and_is_called_stale(
    database: Database, server: FakeZooKeeper, follow: Callable[..., Follower]
) -> None:
    database.change(put_world)
    one = follow()
    known = one.updates.wait_for(fresh(1))

    def cut() -> None:
        server.up = False
        one.client.tell_listeners()

    lost = one.after(cut, stale)
    assert (lost.topology, lost.tags, lost.revision) == (known.topology, frozenset(), 1)

    def heal() -> None:
        server.up = True
        one.client.tell_listeners()

    back = one.after(heal, fresh(1))
    assert back.topology is known.topology


def test_a_watch_that_was_lost_costs_no_more_than_one_poll(
    database: Database,
    server: FakeZooKeeper,
    follow: Callable[..., Follower],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(room, "POLL_S", 0.05)
    database.change(put_world)
    one = follow()
    one.updates.wait_for(fresh(1))

    def change_unseen() -> None:
        server.forget_watches()
        database.change(lambda edit: edit.remove_tenant("t2"))

    assert "t2-vm1" not in one.after(change_unseen, fresh(2)).topology.ports


def test_a_mirror_that_was_away_for_longer_than_the_log_reads_everything(
    database: Database,
    server: FakeZooKeeper,
    follow: Callable[..., Follower],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    # Each change reads all that is there: 256 of them, the real bound, take seconds.
    length = 16
    monkeypatch.setattr("labctl.overlay.store.nsdb.LOG_LENGTH", length)
    database.change(put_world)
    one = follow()
    one.updates.wait_for(fresh(1))

    def lose_the_server() -> None:
        server.up = False
        one.client.tell_listeners()

    one.after(lose_the_server, stale)
    server.up = True
    for number in range(length):
        database.change(partial(plan_tenant, name=f"x{number}"))
    database.change(lambda edit: edit.remove_tenant("t2"))
    # The watch may have fired in between; whichever update is the last has everything.
    one.client.tell_listeners()
    update = one.updates.wait_for(fresh(length + 2))
    assert "t2-vm1" not in update.topology.ports
    assert {f"x{n}-router" for n in range(length)} <= set(update.topology.routers)


def test_a_copy_on_disk_is_what_the_next_agent_begins_with(
    database: Database, server: FakeZooKeeper, follow: Callable[..., Follower], tmp_path: Path
) -> None:
    database.change(put_world)
    one = follow(tmp_path / "mirror.json")
    one.updates.wait_for(fresh(1))
    one.stop()
    server.up = False
    second = follow(tmp_path / "mirror.json")
    begun = second.updates.wait_for(stale)
    assert begun.topology.complete
    assert "t1-vm1" in begun.topology.ports
    assert begun.revision == 1
    assert not any(update.fresh for update in second.updates.all)


@pytest.mark.parametrize("text", ["", "{}", '{"documents": {"common": "x"}, "revision": 1}', "[1]"])
def test_a_copy_that_cannot_be_read_is_none(
    database: Database, follow: Callable[..., Follower], tmp_path: Path, text: str
) -> None:
    database.change(put_world)
    (tmp_path / "mirror.json").write_text(text)
    one = follow(tmp_path / "mirror.json")
    assert "t1-vm1" in one.updates.wait_for(fresh(1)).topology.ports
    assert one.updates.all[0].fresh


def test_a_host_is_alive_while_its_mirror_is_and_again_after_its_session_expired(
    database: Database, server: FakeZooKeeper, follow: Callable[..., Follower]
) -> None:
    database.change(put_world)
    one = follow(host="compute1")
    one.updates.wait_for(fresh(1))
    assert database.alive() == ("compute1",)
    one.client.expire()
    wait(lambda: database.alive() == ("compute1",))


def test_a_sign_of_life_of_an_earlier_session_is_replaced(
    database: Database, server: FakeZooKeeper, follow: Callable[..., Follower]
) -> None:
    """It would go when that session ends, and take the host with it."""
    database.change(put_world)
    dead = server.client()
    dead.start()
    dead.create(f"{ROOT}/alive/compute1", b"", ephemeral=True)
    one = follow(host="compute1")
    one.updates.wait_for(fresh(1))
    dead.stop()
    assert database.alive() == ("compute1",)


def test_a_document_that_cannot_be_read_leaves_what_is_known_until_it_can(
    database: Database, server: FakeZooKeeper, follow: Callable[..., Follower]
) -> None:
    database.change(put_world)
    one = follow()
    known = one.updates.wait_for(fresh(1))
    writer = server.client()
    writer.start()
    whole, _ = writer.get(f"{ROOT}/documents/tenant.t2")

    def write(revision: int, document: bytes) -> None:
        transaction = writer.transaction()
        transaction.set_data(f"{ROOT}/documents/tenant.t2", document)
        head = Head(revision, 100, ((revision, f"write {revision}", ("tenant.t2",)),))
        transaction.set_data(f"{ROOT}/head", head.dump())
        assert transaction.commit() == [True, True]

    lost = one.after(lambda: write(2, b'{"surprise": []}'), stale)
    assert lost.topology is known.topology
    back = one.after(lambda: write(3, whole), fresh(3))
    assert back.topology.ports.keys() == known.topology.ports.keys()


def test_a_database_that_lost_everything_takes_nothing_from_the_agents(
    database: Database, server: FakeZooKeeper, follow: Callable[..., Follower]
) -> None:
    database.change(put_world)
    one = follow()
    known = one.updates.wait_for(fresh(1))
    lost = one.after(lambda: server.delete(f"{ROOT}/head"), stale)
    assert lost.topology is known.topology


def wait(condition: Callable[[], bool], within_s: float = 10) -> None:
    deadline = time.monotonic() + within_s
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.01)
