"""The state database over an ensemble in memory: rivals, lost answers, limits."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st
from virtual import start, two_tenants

from labctl.errors import ActionError, InputError
from labctl.overlay.config.model import Group, Tenant
from labctl.overlay.config.plan import plan_tenant
from labctl.overlay.store.nsdb import ROOT, Database, Head, head_path
from labctl.testing.zookeeper import FakeClient, FakeZooKeeper

if TYPE_CHECKING:
    from collections.abc import Callable

    from labctl.overlay.config.state import Edit


@pytest.fixture
def server() -> FakeZooKeeper:
    return FakeZooKeeper()


@pytest.fixture
def client(server: FakeZooKeeper) -> FakeClient:
    made = server.client()
    made.start()
    return made


@pytest.fixture
def database(client: FakeClient) -> Database:
    return Database(client)


def put_world(edit: Edit) -> None:
    edit.put(*two_tenants().items())


def add(name: str) -> Callable[[Edit], None]:
    return lambda edit: plan_tenant(edit, name)


def tenants(database: Database) -> set[str]:
    return {item.name for item in database.state().items() if isinstance(item, Tenant)}


def test_a_change_is_one_transaction_and_writes_only_the_documents_that_differ(
    database: Database, client: FakeClient
) -> None:
    assert not database.exists()
    database.change(put_world)
    assert (database.exists(), database.state().revision) == (True, 1)
    untouched = client.get(f"{ROOT}/documents/tenant.t1")[1].version
    database.change(add("t9"))
    assert client.get(f"{ROOT}/documents/tenant.t1")[1].version == untouched
    assert set(database.state().documents) == {"common", "tenant.t1", "tenant.t2", "tenant.t9"}
    database.change(lambda edit: edit.remove_tenant("t9"))
    assert f"{ROOT}/documents/tenant.t9" not in client.server.paths()


def test_a_change_that_changes_nothing_is_no_revision(database: Database) -> None:
    database.change(put_world)
    database.change(lambda edit: edit.put(edit.get(Tenant, "t1")))
    assert database.state().revision == 1


@pytest.mark.parametrize("lost", ["lost_answers", "lost_requests"])
@pytest.mark.parametrize("before", [0, 1])
def test_a_transaction_whose_answer_is_lost_is_done_once(
    database: Database, server: FakeZooKeeper, lost: str, before: int
) -> None:
    for _ in range(before):
        database.change(lambda edit: edit.put(*start().items()))
    calls: list[Edit] = []

    def edit(draft: Edit) -> None:
        calls.append(draft)
        put_world(draft)

    setattr(server, lost, 1)
    database.change(edit)
    assert tenants(database) == {"t1", "t2"}
    assert (database.state().revision, len(calls)) == (before + 1, 1)


def test_a_connection_that_is_lost_at_every_attempt_is_an_error(
    database: Database, server: FakeZooKeeper
) -> None:
    database.change(put_world)
    server.lost_requests = 99
    with pytest.raises(ActionError, match="lost while writing"):
        database.change(add("t9"))
    server.lost_requests = 0
    assert database.state().revision == 1


def test_a_rival_that_comes_first_makes_the_change_be_made_anew(
    database: Database, server: FakeZooKeeper
) -> None:
    database.change(put_world)
    rival = server.client()
    rival.start()
    seen: list[bool] = []

    def edit(draft: Edit) -> None:
        seen.append(draft.has(Tenant, "rival"))
        if len(seen) == 1:
            Database(rival).change(add("rival"))
        plan_tenant(draft, "mine")

    database.change(edit)
    assert seen == [False, True]
    assert {"rival", "mine"} <= tenants(database)
    assert database.state().revision == 3


def test_a_change_that_a_rival_made_impossible_is_refused(database: Database, server: FakeZooKeeper) -> None:
    database.change(put_world)
    rival = server.client()
    rival.start()

    def edit(draft: Edit) -> None:
        if Database(rival).state().revision == 1:
            Database(rival).change(add("t9"))
        plan_tenant(draft, "t9")

    with pytest.raises(InputError, match="'t9' is there already"):
        database.change(edit)
    assert database.state().revision == 2


def test_somebody_who_never_comes_first_gives_up_in_words(database: Database, server: FakeZooKeeper) -> None:
    database.change(put_world)
    rival = server.client()
    rival.start()
    number = iter(range(100))

    def edit(draft: Edit) -> None:
        Database(rival).change(add(f"rival{next(number)}"))
        plan_tenant(draft, "mine")

    with pytest.raises(ActionError, match="changed by others 3 times in a row"):
        database.change(edit, attempts=3)
    assert "mine" not in tenants(database)


def test_what_is_written_while_somebody_reads_is_read_whole(
    database: Database, server: FakeZooKeeper, client: FakeClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Head, then documents: a transaction between the two would give a mixture of both moments."""
    database.change(put_world)
    rival = server.client()
    rival.start()
    inner = FakeClient.get_children
    calls: list[str] = []

    def get_children(self: FakeClient, path: str) -> list[str]:
        names = inner(self, path)
        if self is client and not calls:
            calls.append(path)
            Database(rival).change(add("t9"))
        return names

    monkeypatch.setattr(FakeClient, "get_children", get_children)
    state = database.state()
    assert (state.revision, "tenant.t9" in state.documents) == (2, True)


def test_what_breaks_a_rule_or_is_too_long_is_refused_and_nothing_is_written(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    database.change(put_world)
    with pytest.raises(InputError):
        database.change(lambda edit: edit.remove(Group, "t1-default"))
    monkeypatch.setattr("labctl.overlay.store.nsdb._MAX_BYTES", 10)
    with pytest.raises(InputError, match="one change is at most 10 bytes"):
        database.change(add("t9"))
    assert database.state().revision == 1


def test_servers_that_are_away_are_an_error_of_everything(database: Database, server: FakeZooKeeper) -> None:
    server.up = False
    for action in (database.state, database.alive, database.exists, lambda: database.change(put_world)):
        with pytest.raises(ActionError, match="does not answer"):
            action()


def test_hosts_are_alive_while_their_sessions_are(database: Database, server: FakeZooKeeper) -> None:
    assert database.alive() == ()
    database.change(put_world)
    agent = server.client()
    agent.start()
    agent.create(f"{ROOT}/alive/c2", b"", ephemeral=True)
    agent.create(f"{ROOT}/alive/c1", b"", ephemeral=True)
    assert database.alive() == ("c1", "c2")
    agent.stop()
    assert database.alive() == ()


def test_the_log_is_bounded_and_names_each_transaction(
    database: Database, client: FakeClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Each change reads all that is there: 256 of them, the real bound, take seconds.
    length = 16
    monkeypatch.setattr("labctl.overlay.store.nsdb.LOG_LENGTH", length)
    database.change(lambda edit: edit.put(*start().items()))
    for number in range(length + 2):
        database.change(add(f"t{number}"))
    head = Head.parse(client.get(head_path(ROOT))[0])
    assert len(head.log) == length
    assert head.changed_since(head.revision) == frozenset()
    assert set(head.changed_since(head.revision - 2) or ()) == {f"tenant.t{n}" for n in (length, length + 1)}
    assert head.changed_since(1) is None


@given(st.integers(0, 30), st.integers(0, 30), st.integers(0, 40))
def test_what_changed_since_a_revision_is_told_exactly_or_not_at_all(
    length: int, cut: int, since: int
) -> None:
    log = tuple((number, f"x{number}", (f"d{number}",)) for number in range(1, length + 1))
    head = Head(length, 1, log[cut:])
    assert Head.parse(head.dump()) == head
    told = head.changed_since(since)
    if told is None:
        assert since > length or since < length - len(head.log)
    else:
        assert told == {f"d{number}" for number in range(since + 1, length + 1)}
