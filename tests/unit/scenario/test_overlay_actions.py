"""Actions on the overlay, carried out in this process over a state database in memory."""

from __future__ import annotations

import time

import pytest
from virtual import two_tenants

from labctl.errors import ActionError
from labctl.events import now_ns
from labctl.overlay.client.gateways import list_gateways
from labctl.overlay.client.tenants import list_tenants
from labctl.scenario.model import Action
from labctl.scenario.overlay import change, is_overlay
from labctl.testing.state_database import FakeStateDatabase, fake_overlay


@pytest.fixture
def database() -> FakeStateDatabase:
    return FakeStateDatabase(two_tenants().items())


def test_a_gateway_is_drained_by_a_step(database: FakeStateDatabase) -> None:
    overlay = fake_overlay(database)
    effect = change("lab1", Action("gateway-drain", ("gw1",)), lambda: overlay)
    assert (effect.action, effect.detail) == ("gateway-drain", {"command": "overlay gateway drain lab1 gw1"})
    assert [one.name for one in list_gateways(overlay) if one.draining] == ["gw1"]


def test_the_effect_spans_from_the_request_to_the_answer(database: FakeStateDatabase) -> None:
    def opened() -> object:
        time.sleep(0.02)
        return fake_overlay(database)

    before = now_ns()
    effect = change("lab1", Action("overlay", (), "tenant add shop"), opened)  # type: ignore[arg-type]
    after = now_ns()
    assert before <= effect.requested_ns <= effect.done_ns - 20_000_000
    assert effect.done_ns <= after
    assert "shop" in {one.name for one in list_tenants(fake_overlay(database))}


@pytest.mark.parametrize("text", ["tenant remove t9", "tenant add t1", "env craete x"])
def test_a_command_that_fails_is_an_error_that_says_which(database: FakeStateDatabase, text: str) -> None:
    noun, verb, name = text.split()
    with pytest.raises(ActionError, match=rf"labctl overlay {noun} {verb} lab1 {name}: .+"):
        change("lab1", Action("overlay", (), text), lambda: fake_overlay(database))


def test_a_database_that_does_not_answer_fails_the_action(database: FakeStateDatabase) -> None:
    database.down = True
    with pytest.raises(ActionError, match="does not answer"):
        change(
            "lab1",
            Action("gateway-add", ("gw1",)),
            lambda: fake_overlay(
                database, {"hosts": [{"name": "gw1", "kind": "gateway", "tunnel": "198.18.1.1"}]}
            ),
        )


def test_what_is_an_action_on_the_overlay() -> None:
    assert is_overlay(Action("gateway-remove", ("gw1",)))
    assert is_overlay(Action("overlay", (), "env destroy e"))
    assert not is_overlay(Action("power-off", ("gw1",)))
