"""Actions on the overlay, carried out in this process over a state database in memory."""

from __future__ import annotations

import time
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest
from acts import act
from virtual import two_tenants

from labctl.errors import ActionError
from labctl.events import now_ns, silent
from labctl.overlay.client.gateways import list_gateways
from labctl.overlay.client.tenants import list_tenants
from labctl.scenario import overlay
from labctl.scenario.overlay import run_command
from labctl.testing.state_database import FakeStateDatabase, fake_overlay

if TYPE_CHECKING:
    from labctl.scenario.kinds.action import Action


@pytest.fixture
def database() -> FakeStateDatabase:
    return FakeStateDatabase(two_tenants().items())


def test_a_gateway_is_drained_by_a_step(database: FakeStateDatabase) -> None:
    overlay = fake_overlay(database)
    effect = run_command("lab1", "gateway-drain", "gw1", ["gateway", "drain", "gw1"], lambda: overlay)
    assert (effect.action, effect.detail) == ("gateway-drain", {"command": "overlay gateway drain lab1 gw1"})
    assert [one.name for one in list_gateways(overlay) if one.draining] == ["gw1"]


def test_the_effect_spans_from_the_request_to_the_answer(database: FakeStateDatabase) -> None:
    def opened() -> object:
        time.sleep(0.02)
        return fake_overlay(database)

    before = now_ns()
    effect = run_command("lab1", "overlay", "", ["tenant", "add", "shop"], opened)  # type: ignore[arg-type]
    after = now_ns()
    assert before <= effect.requested_ns <= effect.done_ns - 20_000_000
    assert effect.done_ns <= after
    assert "shop" in {one.name for one in list_tenants(fake_overlay(database))}


@pytest.mark.parametrize("text", ["tenant remove t9", "tenant add t1", "env craete x"])
def test_a_command_that_fails_is_an_error_that_says_which(database: FakeStateDatabase, text: str) -> None:
    noun, verb, name = text.split()
    with pytest.raises(ActionError, match=rf"labctl overlay {noun} {verb} lab1 {name}: .+"):
        run_command("lab1", "overlay", "", text.split(), lambda: fake_overlay(database))


def test_a_database_that_does_not_answer_fails_the_action(database: FakeStateDatabase) -> None:
    database.down = True
    with pytest.raises(ActionError, match="does not answer"):
        run_command(
            "lab1",
            "gateway-add",
            "gw1",
            ["gateway", "add", "gw1"],
            lambda: fake_overlay(
                database, {"hosts": [{"name": "gw1", "kind": "gateway", "tunnel": "198.18.1.1"}]}
            ),
        )


@pytest.mark.parametrize(
    ("action", "command"),
    [
        (act("gateway-drain", ("gw1",)), "overlay gateway drain lab1 gw1"),
        (act("gateway-undrain", ("gw1",)), "overlay gateway drain lab1 gw1 --undo"),
        (act("overlay", (), "tenant add 'a shop'"), "overlay tenant add lab1 'a shop'"),
    ],
)
def test_an_action_is_the_command_that_a_user_would_type(
    database: FakeStateDatabase, monkeypatch: pytest.MonkeyPatch, action: Action[Any], command: str
) -> None:
    monkeypatch.setattr(overlay, "open_overlay", lambda *_: fake_overlay(database))
    lab: Any = SimpleNamespace(runtime=None, folder=SimpleNamespace(name="lab1"), lab=None)
    if "a shop" in command:
        with pytest.raises(ActionError, match=f"labctl {command}: "):
            action.kind.act(lab, action, silent)
        return
    assert action.kind.act(lab, action, silent).detail == {"command": command}
