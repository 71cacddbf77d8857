"""Commands of the overlay in a timeline: the same words as on the command line, read before anything runs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, get_type_hints

import pytest
import typer
from virtual import two_tenants

from labctl.cli import overlay as cli_overlay
from labctl.cli._overlay_env import env_create
from labctl.errors import ActionError
from labctl.overlay.client.command import COMMANDS, UnknownCommandError, parse_command
from labctl.overlay.client.environments import list_environments
from labctl.overlay.client.gateways import list_gateways
from labctl.overlay.client.rules import list_rules
from labctl.overlay.client.tenants import list_networks, list_tenants
from labctl.testing.state_database import FakeStateDatabase, fake_overlay

if TYPE_CHECKING:
    from labctl.overlay.client.database import Overlay

PLAN = {"hosts": [{"name": "gw2", "kind": "gateway", "tunnel": "198.18.1.2"}]}


@pytest.fixture
def overlay() -> Overlay:
    return fake_overlay(FakeStateDatabase(two_tenants().items()), PLAN)


def run(overlay: Overlay, text: str) -> None:
    parse_command(text.split()).run(overlay)


def cli_commands() -> dict[str, Any]:
    """Every command of ``labctl overlay`` that changes something, by noun and verb."""
    group = typer.main.get_command(cli_overlay.app)
    return {
        f"{noun} {verb}": command
        for noun, nouns in group.commands.items()  # type: ignore[attr-defined]
        for verb, command in nouns.commands.items()
        if verb != "list"
    }


def test_a_timeline_knows_the_commands_of_the_command_line_and_no_others() -> None:
    assert sorted(COMMANDS) == sorted(cli_commands())


PERSONS = {"json", "force"}
"""Options for people: a timeline reads no output, and holds the lab itself."""


@pytest.mark.parametrize("name", sorted(COMMANDS))
def test_a_command_takes_the_options_and_defaults_of_the_command_line(name: str) -> None:
    here = COMMANDS[name]._actions
    there = cli_commands()[name].params
    assert sum(not action.option_strings for action in here) == sum(
        param.param_type_name == "argument" and param.name != "lab" for param in there
    )
    assert {word for action in here for word in action.option_strings} == {
        word
        for param in there
        if param.param_type_name == "option" and param.name not in PERSONS
        for word in (*param.opts, *param.secondary_opts)
    }
    defaults = {
        param.opts[0]: param.default
        for param in there
        if param.param_type_name == "option" and param.name not in PERSONS
    }
    for action in here:
        if action.option_strings:
            # Options that may be given again: none, or an empty list.
            assert (action.default or None) == (defaults[action.option_strings[0]] or None), action


@pytest.mark.parametrize(
    ("text", "least", "most"), [("env create e --networks {}", 1, 64), ("env create e --vms {}", 0, 1000)]
)
def test_counts_have_the_bounds_of_the_command_line(text: str, least: int, most: int) -> None:
    option = text.split()[3]
    hints = get_type_hints(env_create, include_extras=True)
    (info,) = hints[option.removeprefix("--")].__metadata__
    assert (info.min, info.max) == (least, most)
    for wrong in (least - 1, most + 1, "many"):
        with pytest.raises(UnknownCommandError):
            parse_command(text.format(wrong).split())
    for right in (least, most):
        parse_command(text.format(right).split())


def test_commands_do_what_they_say(overlay: Overlay) -> None:
    run(overlay, "tenant add shop")
    run(overlay, "tenant peer shop t1")
    run(overlay, "network add shop shop-net --ipv4 10.140.0.0/24 --dns 192.0.2.53")
    assert [one.peers for one in list_tenants(overlay) if one.name == "shop"] == [("t1",)]
    assert "10.140.0.0/24" in {prefix for one in list_networks(overlay) for prefix in one.prefixes}
    run(overlay, "rule add web in --proto tcp --ports 80 --tenant shop")
    assert len(list_rules(overlay, "web")) == 2
    run(overlay, f"rule remove {list_rules(overlay, 'web')[0].name}")
    assert len(list_rules(overlay, "web")) == 1
    run(overlay, "rule use t1-vm1 t1-default")
    run(overlay, "tenant part shop t1")
    run(overlay, "network remove shop-net")
    run(overlay, "tenant remove shop")
    assert [one.name for one in list_tenants(overlay)] == ["t1", "t2"]
    run(overlay, "env create dev --vms 2 --networks 2 --host compute1 --no-wait")
    assert [vm.port.host for vm in list_environments(overlay) if vm.environment == "dev"] == ["compute1"] * 2
    run(overlay, "env destroy dev")
    run(overlay, "gateway drain gw2")
    run(overlay, "gateway drain gw2 --undo")
    run(overlay, "gateway remove gw2 --now")
    assert [one.name for one in list_gateways(overlay)] == ["gw1"]
    run(overlay, "gateway add gw2")
    assert [one.name for one in list_gateways(overlay)] == ["gw1", "gw2"]


def test_an_environment_whose_vms_are_late_is_an_error() -> None:
    overlay = fake_overlay(FakeStateDatabase(two_tenants().items()), late=("dev-vm1",))
    with pytest.raises(ActionError, match="no address yet in dev-vm1"):
        run(overlay, "env create dev --vms 1 --timeout 0.1")


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("env", "no command of the overlay"),
        ("env craete dev", "did you mean 'env create'"),
        ("env list", "no command of the overlay"),
        ("env create", "environment"),
        ("env create dev --vm 3", "--vm"),
        ("env create dev --timeout 0", "'0' is no number of seconds"),
        ("env create dev --timeout nan", "'nan' is no number of seconds"),
        ("env create dev --timeout soon", "'soon' is no number of seconds"),
        ("env create dev --vms many", "'many' is no number between 0 and 1000"),
        ("tenant add a b", "b"),
        ("rule add g up", "up"),
        ("rule use vm1", "groups"),
        ("gateway drain", "node"),
    ],
)
def test_words_that_are_no_command_are_refused_in_one_line(
    text: str, told: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "20")
    with pytest.raises(UnknownCommandError, match=told) as caught:
        parse_command(text.split())
    assert "\n" not in str(caught.value)
