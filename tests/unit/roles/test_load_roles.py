from pathlib import Path

import pytest

from labctl.document.document import Document, read_document
from labctl.errors import InputError
from labctl.load import load_topology
from labctl.model.codec import dump_lab, load_lab
from labctl.model.topology import Behaviour
from labctl.roles import catalog
from labctl.roles.catalog import load_roles


def role(folder: Path, name: str, text: str = "description: x\n") -> None:
    (folder / name).mkdir(parents=True)
    (folder / name / "role.yml").write_text(text)


def refused(folder: Path) -> str:
    with pytest.raises(InputError) as caught:
        load_roles([folder])
    return str(caught.value).replace(str(folder), "DIR")


def test_the_shipped_roles_act_as_they_are_called() -> None:
    roles = load_roles()
    for name in ("host", "router", "gateway", "switch"):
        assert roles[name].acts_as is Behaviour(name)


def test_a_new_folder_is_a_new_role(tmp_path: Path) -> None:
    role(tmp_path, "firewall", "acts-as: gateway\nvars: {a: 1}\nnode-keys: [rules]\n")
    (tmp_path / "no-role").mkdir()
    roles = load_roles([tmp_path])
    assert roles["firewall"].acts_as is Behaviour.GATEWAY
    assert roles["firewall"].vars == {"a": 1}
    assert roles["firewall"].node_keys == ("rules",)
    assert "router" in roles
    assert "no-role" not in roles


def test_a_users_role_hides_ours_and_the_earlier_folder_the_later(tmp_path: Path) -> None:
    role(tmp_path / "one", "router", "acts-as: host\n")
    role(tmp_path / "two", "router", "acts-as: switch\n")
    assert load_roles([tmp_path / "one", tmp_path / "two"])["router"].acts_as is Behaviour.HOST


def test_what_a_role_extends_is_merged_in(tmp_path: Path) -> None:
    role(tmp_path, "a", "acts-as: router\nvars: {x: 1, y: 1}\nnode-keys: [k]\n")
    role(tmp_path, "b", "extends: a\nvars: {y: 2}\nnode-keys: [l]\n")
    role(tmp_path, "c", "extends: b\nacts-as: gateway\n")
    roles = load_roles([tmp_path])
    assert roles["b"].acts_as is Behaviour.ROUTER
    assert roles["c"].acts_as is Behaviour.GATEWAY
    assert roles["c"].vars == {"x": 1, "y": 2}
    assert set(roles["c"].node_keys) == {"k", "l"}


def test_a_role_that_says_nothing_acts_as_a_host(tmp_path: Path) -> None:
    role(tmp_path, "thing")
    assert load_roles([tmp_path])["thing"].acts_as is Behaviour.HOST


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (
            "acts-as: ruter\n",
            (
                "DIR/x/role.yml:1:10: expected 'host', 'router', 'gateway', 'switch' or 'guest', not 'ruter' "
                "(did you mean 'router'?)"
            ),
        ),
        ("extends: nobody\n", "DIR/x/role.yml:1:10: there is no role 'nobody'"),
        ("extends: x\n", "DIR/x/role.yml:1:10: the role extends itself: x -> x"),
        ("vars: 3\n", "DIR/x/role.yml:1:7: expected a mapping"),
        ("node-keys: [1]\n", "DIR/x/role.yml:1:13: expected text, not 1"),
        ("- x\n", "DIR/x/role.yml:1:1: expected a mapping"),
        ("extends: [1]\n", "DIR/x/role.yml:1:10: expected text, not a list of 1"),
    ],
)
def test_a_role_that_cannot_be_is_refused_with_its_place(tmp_path: Path, text: str, said: str) -> None:
    role(tmp_path, "x", text)
    assert refused(tmp_path).startswith(said)


LAB = "name: a\n{}nodes:\n  h: {{role: host}}\n  f: {{role: firewall}}\nlinks: [[h, f]]\n"


def test_a_topology_names_its_own_template_folders_from_where_it_is(tmp_path: Path) -> None:
    role(tmp_path / "mine", "firewall", "extends: router\nacts-as: router\n")
    role(tmp_path / "other", "firewall", "extends: host\n")
    topology = tmp_path / "a.yml"
    topology.write_text(LAB.format("templates: mine\n"))
    lab = load_topology(topology)
    assert lab.node("f").acts_as == "router"
    assert lab.templates == (str(tmp_path / "mine"),)
    assert load_lab(dump_lab(lab)) == lab
    topology.write_text(LAB.format("templates: [other, mine]\n"))
    assert load_topology(topology).node("f").acts_as == "host"
    over = load_topology(topology, templates=[tmp_path / "mine"])
    assert over.node("f").acts_as == "router"
    assert over.templates == tuple(str(tmp_path / name) for name in ("mine", "other", "mine"))


@pytest.mark.parametrize(
    ("key", "said"),
    [
        ("templates: mien\n", "a.yml:2:12: there is no folder 'mien' (did you mean 'mine'?)"),
        ("templates: [mine, a.yml]\n", "a.yml:2:19: there is no folder 'a.yml'"),
    ],
)
def test_a_template_folder_that_is_not_there_is_told_with_its_place(
    tmp_path: Path, key: str, said: str
) -> None:
    role(tmp_path / "mine", "firewall")
    (tmp_path / "a.yml").write_text(LAB.format(key))
    with pytest.raises(InputError) as caught:
        load_topology(tmp_path / "a.yml")
    assert said in str(caught.value)
    with pytest.raises(InputError, match="--templates /nowhere: there is no such folder"):
        load_topology(tmp_path / "a.yml", templates=[Path("/nowhere")])


@pytest.mark.parametrize("key", ["templates: 3\n", "templates: {a: b}\n", "templates: [[mine]]\n"])
def test_templates_that_are_no_names_of_folders_are_refused(tmp_path: Path, key: str) -> None:
    (tmp_path / "a.yml").write_text(LAB.format(key))
    with pytest.raises(InputError, match=r"a\.yml:2:"):
        load_topology(tmp_path / "a.yml")


def test_of_ours_only_those_that_are_wanted_are_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    role(tmp_path, "mine", "extends: host\n")
    read: list[str] = []

    def counted(path: Path) -> Document:
        read.append(path.parent.name)
        return read_document(path)

    monkeypatch.setattr(catalog, "read_document", counted)
    roles = load_roles([tmp_path])
    assert sorted(read) == ["base", "host", "mine"]
    assert "router" in roles
    assert sorted(roles) == list(roles)
    assert "router" not in read
    assert roles["router"].acts_as is Behaviour.ROUTER
    assert roles["router"] is roles["router"]
