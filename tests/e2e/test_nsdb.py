"""The state database on a real ZooKeeper ensemble: transactions, mirrors, and servers that die."""

from __future__ import annotations

import json
import threading
import time
from dataclasses import replace
from ipaddress import ip_network
from typing import TYPE_CHECKING

import pytest
from ensemble import JAR, Ensemble, ensemble
from kazoo.client import KazooClient
from virtual import start, two_tenants

from labctl.errors import ActionError, InputError
from labctl.overlay.config.environment import remove_network
from labctl.overlay.config.model import Group, Network, Subnet, Tenant, VmPort
from labctl.overlay.config.plan import PrefixPools, VmSpec, plan_network, plan_tenant, plan_vm
from labctl.overlay.simulation.topology import VirtualTopology
from labctl.overlay.store.mirror import POLL_S, Mirror, Update
from labctl.overlay.store.nsdb import LOG_LENGTH, Database, Head
from labctl.overlay.store.session import connect, make_client

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from labctl.overlay.config.state import Edit

pytestmark = [
    pytest.mark.netns,  # it runs where the machine has what a whole lab needs
    pytest.mark.skipif(not JAR.exists(), reason="no ZooKeeper here (package zookeeper)"),
]


@pytest.fixture(scope="module")
def servers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Ensemble]:
    with ensemble(tmp_path_factory.mktemp("ensemble")) as made:
        yield made


@pytest.fixture
def root(request: pytest.FixtureRequest) -> str:
    """A database of its own for every test."""
    return f"/{abs(hash(request.node.nodeid))}/overlay"


@pytest.fixture
def client(servers: Ensemble) -> Iterator[KazooClient]:
    servers.wait_for_leader()
    made = connect(servers.servers)
    yield made
    made.stop()
    made.close()


@pytest.fixture
def database(client: KazooClient, root: str) -> Database:
    return Database(client, root)


class Told:
    """What a mirror told, with the time of each."""

    def __init__(self) -> None:
        self.updates: list[tuple[float, Update]] = []
        self._more = threading.Condition()

    def __call__(self, update: Update) -> None:
        with self._more:
            self.updates.append((time.monotonic(), update))
            self._more.notify_all()

    def wait_for(self, wanted: Callable[[Update], bool], within_s: float = 20) -> Update:
        with self._more:
            found = self._more.wait_for(
                lambda: next((one for _, one in self.updates if wanted(one)), None), within_s
            )
        assert found, [(u.fresh, u.revision) for _, u in self.updates]
        return found


@pytest.fixture
def mirrors(servers: Ensemble, root: str) -> Iterator[Callable[..., tuple[Mirror, Told]]]:
    running: list[tuple[Mirror, KazooClient]] = []

    def start_one(host: str = "", copy: Path | None = None) -> tuple[Mirror, Told]:
        told, client = Told(), make_client(servers.servers)
        mirror = Mirror(client, told, host=host, copy=copy, root=root)
        mirror.start()
        running.append((mirror, client))
        return mirror, told

    yield start_one
    for mirror, client in running:
        mirror.stop()
        client.close()


def put_world(edit: Edit) -> None:
    edit.put(*two_tenants().items())


def add_environment(name: str) -> Callable[[Edit], VmPort]:
    def change(edit: Edit) -> VmPort:
        plan_tenant(edit, name)
        plan_network(edit, name, f"{name}-net", PrefixPools())
        return plan_vm(edit, VmSpec(f"{name}-vm", f"{name}-net", "compute1"))

    return change


def test_what_is_written_is_read(database: Database) -> None:
    assert not database.exists()
    database.change(put_world)
    state = database.state()
    assert state.revision == 1
    assert {(type(item), item.name, item) for item in state.items()} == {
        (type(item), item.name, item) for item in two_tenants().items()
    }
    assert set(state.documents) == {"common", "tenant.t1", "tenant.t2"}


def test_an_environment_comes_and_goes_in_one_transaction_each(database: Database) -> None:
    database.change(put_world)
    port = database.change(add_environment("t9"))
    state = database.state()
    assert state.revision == 2
    assert port in state.documents["tenant.t9"]
    database.change(lambda edit: edit.remove_tenant("t9"))
    state = database.state()
    assert (state.revision, set(state.documents)) == (3, {"common", "tenant.t1", "tenant.t2"})
    assert database.change(add_environment("t9")).key > port.key, "a key is never given twice"


@pytest.mark.parametrize(
    "wrong",
    [
        lambda edit: edit.put(Network("x", "nobody")),
        lambda edit: edit.remove(Tenant, "t1"),
        lambda edit: edit.remove(Group, "t1-default"),
        lambda edit: edit.put(replace(edit.get(VmPort, "t1-vm1"), host="nowhere")),
        lambda edit: edit.put(replace(edit.get(VmPort, "t1-vm1"), mac=edit.get(VmPort, "t1-vm2").mac)),
        lambda edit: edit.put(replace(edit.get(VmPort, "t1-vm1"), key=edit.get(VmPort, "t2-vm1").key)),
        lambda edit: edit.put(Subnet("x", "t1-net", ip_network("10.128.0.0/16"))),
    ],
)
def test_what_breaks_a_rule_is_refused_and_nothing_is_written(
    database: Database, wrong: Callable[[Edit], None]
) -> None:
    database.change(put_world)
    with pytest.raises(InputError):
        database.change(wrong)
    assert database.state().revision == 1


class Writer(threading.Thread):
    """Makes one change, the first time only when another writer has read too."""

    def __init__(
        self, client: KazooClient, root: str, both: threading.Barrier, action: Callable[[Edit], object]
    ) -> None:
        super().__init__()
        self._client, self._root, self._both, self._action = client, root, both, action
        self.attempts = 0
        self.outcome = ""

    def run(self) -> None:
        try:
            Database(self._client, self._root).change(self._edit)
            self.outcome = "done"
        except InputError:
            self.outcome = "refused"

    def _edit(self, edit: Edit) -> None:
        self.attempts += 1
        if self.attempts == 1:
            self._both.wait(10)
        self._action(edit)


def test_two_writers_at_once_cannot_break_a_rule_together(
    servers: Ensemble, client: KazooClient, database: Database, root: str
) -> None:
    """One removes a network while the other puts a VM on it: both have read that they may."""
    database.change(put_world)
    both, other = threading.Barrier(2), connect(servers.servers)
    place = Writer(client, root, both, lambda edit: plan_vm(edit, VmSpec("late", "t1-db", "compute1")))
    remove = Writer(other, root, both, lambda edit: remove_network(edit, "t1-db"))
    for writer in (place, remove):
        writer.start()
    for writer in (place, remove):
        writer.join()
    other.stop()
    other.close()
    names = {item.name for item in database.state().items()}
    # The remover takes the late VM along when it comes second; the other one is refused when it does.
    assert remove.outcome == "done"
    assert (place.outcome, place.attempts) in (("done", 1), ("refused", 2))
    assert max(place.attempts, remove.attempts) == 2
    assert not {"t1-db", "late"} & names


def test_many_writers_all_get_their_turn(servers: Ensemble, database: Database, root: str) -> None:
    database.change(put_world)
    clients = [connect(servers.servers) for _ in range(4)]
    keys: list[int] = []

    def write(number: int) -> None:
        writer = Database(clients[number], root)
        for n in range(5):
            keys.append(writer.change(add_environment(f"w{number}-{n}"), attempts=200).key)  # noqa: PERF401

    threads = [threading.Thread(target=write, args=(n,)) for n in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for one in clients:
        one.stop()
        one.close()
    assert len(set(keys)) == 20
    assert database.state().revision == 21


def test_a_mirror_follows_and_tells_what_is_touched(
    database: Database, mirrors: Callable[..., tuple[Mirror, Told]]
) -> None:
    mirror, told = mirrors()
    assert told.wait_for(lambda update: update.fresh).topology.complete
    database.change(put_world)
    told.wait_for(lambda update: update.revision == 1)
    assert mirror.last.topology == VirtualTopology.of(two_tenants().items())
    port = database.change(add_environment("t9"))
    update = told.wait_for(lambda update: update.revision == 2)
    assert f"port:{port.name}" in update.tags
    assert not any("t1" in tag for tag in update.tags)
    database.change(lambda edit: edit.remove_tenant("t9"))
    told.wait_for(lambda update: update.revision == 3)
    assert mirror.last.topology == VirtualTopology.of(two_tenants().items())


def test_a_mirror_that_missed_more_than_the_log_holds_reads_all_again(
    database: Database, mirrors: Callable[..., tuple[Mirror, Told]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("labctl.overlay.store.nsdb.LOG_LENGTH", 2)
    assert LOG_LENGTH > 2
    database.change(put_world)
    mirror, told = mirrors()
    told.wait_for(lambda update: update.revision == 1)
    mirror._client.stop()
    for n in range(5):
        database.change(add_environment(f"n{n}"))
    database.change(lambda edit: edit.remove_tenant("n0"))
    mirror._client.start()
    told.wait_for(lambda update: update.revision == 7)
    assert mirror.last.topology == VirtualTopology.of(database.state().items())


def test_a_host_is_alive_while_its_agent_is(
    database: Database, mirrors: Callable[..., tuple[Mirror, Told]]
) -> None:
    database.change(put_world)
    mirror, told = mirrors(host="compute1")
    told.wait_for(lambda update: update.revision == 1)
    assert database.alive() == ("compute1",)
    mirror.stop()
    assert database.alive() == ()
    mirror.stop = lambda: None  # type: ignore[method-assign]


def test_a_restarted_agent_takes_its_sign_of_life_over(
    database: Database, mirrors: Callable[..., tuple[Mirror, Told]], client: KazooClient, root: str
) -> None:
    database.change(put_world)
    client.create(f"{root}/alive/compute1", b"", ephemeral=True)
    mirror, told = mirrors(host="compute1")
    told.wait_for(lambda update: update.revision == 1)
    _, stat = client.get(f"{root}/alive/compute1")
    assert stat.ephemeralOwner == mirror._client.client_id[0]


def test_an_expired_session_is_followed_by_another_one(
    database: Database, mirrors: Callable[..., tuple[Mirror, Told]], servers: Ensemble, client: KazooClient
) -> None:
    database.change(put_world)
    mirror, told = mirrors(host="compute1")
    told.wait_for(lambda update: update.revision == 1)
    # Who comes with the same session elsewhere and closes it, ends it for the first one.
    number, password = mirror._client.client_id
    thief = KazooClient(hosts=servers.servers[0], client_id=(number, password))
    thief.start()
    thief.stop()
    thief.close()
    database.change(add_environment("t9"))
    told.wait_for(lambda update: update.revision == 2)
    deadline = time.monotonic() + 15
    while database.alive() != ("compute1",) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert database.alive() == ("compute1",)
    assert mirror._client.client_id[0] != number


def test_a_mirror_begins_with_its_copy_when_nobody_answers(
    database: Database, mirrors: Callable[..., tuple[Mirror, Told]], tmp_path: Path, root: str
) -> None:
    database.change(put_world)
    copy = tmp_path / "var" / "copy.json"
    mirror, told = mirrors(copy=copy)
    told.wait_for(lambda update: update.revision == 1)
    mirror.stop()
    mirror.stop = lambda: None  # type: ignore[method-assign]
    lonely_told = Told()
    lonely_client = make_client(["127.0.0.1:1"])
    lonely = Mirror(lonely_client, lonely_told, copy=copy, root=root)
    lonely.start()
    update = lonely_told.wait_for(lambda update: update.revision == 1, within_s=1)
    lonely.stop()
    lonely_client.close()
    assert not update.fresh
    assert update.topology == VirtualTopology.of(two_tenants().items())


def test_the_copy_is_soon_as_new_as_the_mirror(
    database: Database, mirrors: Callable[..., tuple[Mirror, Told]], tmp_path: Path
) -> None:
    copy = tmp_path / "copy.json"
    _, told = mirrors(copy=copy)
    told.wait_for(lambda update: update.fresh and update.revision == 0)
    database.change(put_world)
    told.wait_for(lambda update: update.revision == 1)
    # Well before the head would be looked at anyway.
    deadline = time.monotonic() + POLL_S / 2
    while not (copy.exists() and json.loads(copy.read_bytes())["revision"] == 1):
        assert time.monotonic() < deadline
        time.sleep(0.02)


def test_no_copy_is_kept_of_a_database_that_nothing_was_written_to(
    mirrors: Callable[..., tuple[Mirror, Told]], tmp_path: Path
) -> None:
    copy = tmp_path / "copy.json"
    mirror, told = mirrors(copy=copy)
    told.wait_for(lambda update: update.fresh and update.revision == 0)
    mirror.stop()
    mirror.stop = lambda: None  # type: ignore[method-assign]
    assert not copy.exists()


def test_a_copy_that_cannot_be_read_is_no_copy(
    database: Database, mirrors: Callable[..., tuple[Mirror, Told]], tmp_path: Path
) -> None:
    database.change(put_world)
    copy = tmp_path / "copy.json"
    copy.write_text('{"revision": 3, "documents": {"common": "{\\"host\\": [{\\"nam')
    mirror, told = mirrors(copy=copy)
    told.wait_for(lambda update: update.fresh and update.revision == 1)
    assert mirror.last.topology == VirtualTopology.of(two_tenants().items())


def test_a_database_that_has_lost_everything_is_not_believed(
    database: Database, mirrors: Callable[..., tuple[Mirror, Told]], client: KazooClient, root: str
) -> None:
    database.change(put_world)
    mirror, told = mirrors()
    told.wait_for(lambda update: update.revision == 1)
    client.delete(root, recursive=True)
    told.wait_for(lambda update: not update.fresh and update.revision == 1)
    assert mirror.last.topology == VirtualTopology.of(two_tenants().items())


def test_a_document_that_is_none_stops_nothing(
    database: Database, mirrors: Callable[..., tuple[Mirror, Told]], client: KazooClient, root: str
) -> None:
    """What was known stands, is said to be stale, and goes on when the document is one again."""
    database.change(put_world)
    mirror, told = mirrors()
    told.wait_for(lambda update: update.revision == 1)
    good, _ = client.get(f"{root}/documents/tenant.t1")
    client.set(f"{root}/documents/tenant.t1", b'{"planet": []}')
    head = Head.parse(client.get(f"{root}/head")[0])
    client.set(f"{root}/head", replace(head, revision=2, log=((2, "x", ("tenant.t1",)),)).dump())
    told.wait_for(lambda update: not update.fresh and update.revision == 1)
    assert mirror.last.topology == VirtualTopology.of(two_tenants().items())
    client.set(f"{root}/documents/tenant.t1", good)
    database.change(add_environment("t9"))
    update = told.wait_for(lambda update: update.fresh and update.revision == 3)
    assert "t9-net" in update.topology.networks


def test_nobody_answers_is_said_in_one_line() -> None:
    with pytest.raises(ActionError, match="none of the controllers answers"):
        connect(["127.0.0.1:1"], patience_s=0.5)


def test_the_leader_dies_and_writes_go_on(
    servers: Ensemble, database: Database, mirrors: Callable[..., tuple[Mirror, Told]]
) -> None:
    database.change(put_world)
    _, told = mirrors(host="compute1")
    told.wait_for(lambda update: update.revision == 1)
    leader = servers.wait_for_leader()
    servers.kill(leader)
    began = time.monotonic()
    database.change(add_environment("t9"))
    took = time.monotonic() - began
    told.wait_for(lambda update: update.revision == 2 and update.fresh)
    servers.start(leader)
    assert took < 15
    assert [update.revision for _, update in told.updates if update.tags] == [1, 2]


def test_all_servers_die_and_come_back_and_the_mirror_never_forgets(
    servers: Ensemble, database: Database, mirrors: Callable[..., tuple[Mirror, Told]]
) -> None:
    database.change(put_world)
    mirror, told = mirrors(host="compute1")
    told.wait_for(lambda update: update.revision == 1)
    topology = mirror.last.topology
    servers.kill(1, 2, 3)
    told.wait_for(lambda update: not update.fresh and update.revision == 1)
    assert mirror.last.topology is topology
    servers.start(1, 2, 3)
    servers.wait_for_leader()
    database.change(add_environment("t9"))
    update = told.wait_for(lambda update: update.revision == 2)
    assert update.fresh
    assert not any(tag.startswith("port:t1") for tag in update.tags)
    assert database.alive() == ("compute1",)


def test_three_hundred_networks_are_mirrored_quickly_and_small(
    database: Database, mirrors: Callable[..., tuple[Mirror, Told]]
) -> None:
    def fill(edit: Edit) -> None:
        edit.put(*start().items())
        for n in range(300):
            add_environment(f"n{n}")(edit)

    database.change(fill)
    began = time.monotonic()
    mirror, told = mirrors()
    told.wait_for(lambda update: update.revision == 1)
    took = time.monotonic() - began
    assert len(mirror.last.topology.networks) == 300
    began = time.monotonic()
    database.change(add_environment("late"))
    time.monotonic() - began
    told.wait_for(lambda update: update.revision == 2)
    seen = time.monotonic() - began
    assert took < 10
    assert seen < 5
