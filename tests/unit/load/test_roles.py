from pathlib import Path

import pytest

from labctl.errors import InputError
from labctl.load.roles import known_roles
from labctl.model.topology import Behaviour


def role(folder: Path, name: str, text: str = "description: x\n") -> None:
    (folder / name).mkdir(parents=True)
    (folder / name / "role.yml").write_text(text)


def refused(folder: Path) -> str:
    with pytest.raises(InputError) as caught:
        known_roles([folder])
    return str(caught.value).replace(str(folder), "DIR")


def test_the_shipped_roles_act_as_they_are_called() -> None:
    roles = known_roles()
    for name in ("host", "router", "gateway", "switch"):
        assert roles[name].behaviour is Behaviour(name)


def test_a_new_folder_is_a_new_role(tmp_path: Path) -> None:
    role(tmp_path, "firewall", "acts-as: gateway\nvars: {a: 1}\nnode-keys: [rules]\n")
    (tmp_path / "no-role").mkdir()
    roles = known_roles([tmp_path])
    assert roles["firewall"].behaviour is Behaviour.GATEWAY
    assert roles["firewall"].vars == {"a": 1}
    assert roles["firewall"].node_keys == ("rules",)
    assert "router" in roles
    assert "no-role" not in roles


def test_a_users_role_hides_ours_and_the_earlier_folder_the_later(tmp_path: Path) -> None:
    role(tmp_path / "one", "router", "acts-as: host\n")
    role(tmp_path / "two", "router", "acts-as: switch\n")
    assert known_roles([tmp_path / "one", tmp_path / "two"])["router"].behaviour is Behaviour.HOST


def test_what_a_role_extends_is_merged_in(tmp_path: Path) -> None:
    role(tmp_path, "a", "acts-as: router\nvars: {x: 1, y: 1}\nnode-keys: [k]\n")
    role(tmp_path, "b", "extends: a\nvars: {y: 2}\nnode-keys: [l]\n")
    role(tmp_path, "c", "extends: b\nacts-as: gateway\n")
    roles = known_roles([tmp_path])
    assert roles["b"].behaviour is Behaviour.ROUTER
    assert roles["c"].behaviour is Behaviour.GATEWAY
    assert roles["c"].vars == {"x": 1, "y": 2}
    assert set(roles["c"].node_keys) == {"k", "l"}


def test_a_role_that_says_nothing_acts_as_a_host(tmp_path: Path) -> None:
    role(tmp_path, "thing")
    assert known_roles([tmp_path])["thing"].behaviour is Behaviour.HOST


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (
            "acts-as: ruter\n",
            "DIR/x/role.yml:1:10: a role acts as one of host, router, gateway, switch, guest, not 'ruter'",
        ),
        ("extends: nobody\n", "DIR/x/role.yml:1:10: there is no role 'nobody'"),
        ("extends: x\n", "DIR/x/role.yml:1:10: role 'x' extends itself"),
        ("vars: 3\n", "DIR/x/role.yml:1:7: expected a mapping"),
        ("node-keys: [1]\n", "DIR/x/role.yml:1:12: expected a list of names"),
        ("- x\n", "DIR/x/role.yml:1:1: expected a mapping"),
        ("extends: [1]\n", "DIR/x/role.yml:1:10: expected the name of a role"),
    ],
)
def test_a_role_that_cannot_be_is_refused_with_its_place(tmp_path: Path, text: str, said: str) -> None:
    role(tmp_path, "x", text)
    assert refused(tmp_path).startswith(said)
