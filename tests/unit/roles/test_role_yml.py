"""What ``role.yml`` may say: every mistake has its place and the nearest valid name, before rendering."""

from __future__ import annotations

from dataclasses import fields
from typing import TYPE_CHECKING

import pytest

from labctl.document.document import Document
from labctl.document.tree import parse
from labctl.errors import InputError
from labctl.load.topology import read_topology, topology_from
from labctl.model.routing import RoutingPlan
from labctl.model.topology import Behaviour
from labctl.roles.catalog import load_role, load_roles
from labctl.roles.expressions import FILE_NAMES
from labctl.roles.folders import shipped_templates
from labctl.roles.model import Role, Trait, VarType
from labctl.roles.requirements import parse_requirements, requirements_text

if TYPE_CHECKING:
    from pathlib import Path

    from labctl.model.lab import Lab


def write(folder: Path, name: str, text: str, *files: str) -> None:
    (folder / name).mkdir(parents=True)
    (folder / name / "role.yml").write_text(text)
    for file in files:
        (folder / name / file).parent.mkdir(parents=True, exist_ok=True)
        (folder / name / file).write_text("x\n")


def refused(folder: Path) -> list[str]:
    with pytest.raises(InputError) as caught:
        load_roles([folder])
    return str(caught.value).replace(f"{folder}/", "").splitlines()


def role(folder: Path, text: str) -> Role:
    write(folder, "mine", text)
    return load_role("mine", [folder, shipped_templates()])


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("acts_as: router\n", "1:1: unknown key 'acts_as' (did you mean 'acts-as'?)"),
        ("node_keys: [a]\n", "1:1: unknown key 'node_keys' (did you mean 'node-keys'?)"),
        ("acts-as: ruter\n", "1:10: expected 'host', 'router', 'gateway', 'switch' or 'guest', not 'ruter' "),
        ("traits: [forward]\n", "1:10: expected 'forwards', not 'forward' (did you mean 'forwards'?)"),
        ("vars:\n  a: {type: itn, default: 1}\n", "2:13: expected 'text', 'int', "),
        ("vars:\n  a: {typ: int, default: 1}\n", "2:7: unknown key 'typ' (did you mean 'type'?)"),
        (
            "vars:\n  a: {type: int, default: x}\n",
            "2:27: default of var 'a': expected a whole number, not 'x'",
        ),
        (
            "vars:\n  a: {default: x, choices: [y, z]}\n",
            "2:16: default of var 'a': expected one of y, z, not 'x'",
        ),
        (
            "extends: router\nvars: {bgp_hold: long}\n",
            "2:18: default of var 'bgp_hold': expected a whole number",
        ),
        ("requires: [{program: x}]\n", "1:13: unknown key 'program' (did you mean 'programs'?)"),
        ("requires: [{programs: [x]}]\n", "1:12: expected one of packages, fix: what brings it"),
        (
            "requires: [{packages: [xx]}]\n",
            "1:12: expected one of programs, files, libraries, modules, kernel",
        ),
        (
            "requires: [{kernel: [vxlam], fix: buy it}]\n",
            "1:22: unknown feature of the kernel 'vxlam' (did you mean 'vxlan'?)",
        ),
        (
            "extends: router\nrequires: [{programs: [x], fix: y, when: vars.bdf}]\n",
            "2:42: unknown var 'bdf' (did you mean 'bfd'?)",
        ),
        ("requires: [{programs: [x], fix: y, when: ports}]\n", "1:42: unknown name 'ports' (known: vars)"),
        ("requires: [{programs: [x], fix: a;b}]\n", "1:33: expected to match pattern"),
        ("requires: [{files: [relative], fix: y}]\n", "1:21: expected to match pattern"),
    ],
)
def test_a_mistake_is_told_with_its_place_and_the_nearest_name(tmp_path: Path, text: str, said: str) -> None:
    write(tmp_path, "mine", text)
    (line,) = refused(tmp_path)
    assert line.startswith(f"mine/role.yml:{said}")


@pytest.mark.parametrize(
    ("expression", "said"),
    [
        ("gatd", "unknown name 'gatd' (did you mean 'gated'?)"),
        ("vars.bdf", "unknown var 'bdf' (did you mean 'bfd'?)"),
        ('vars["bdf"] and gated', "unknown var 'bdf' (did you mean 'bfd'?)"),
        ("ports | lenght > 1", "unknown filter 'lenght' (did you mean 'length'?)"),
        ("node is of_rol('x')", "unknown test 'of_rol' (did you mean 'of_role'?)"),
        ("vars.bfd ==", "'vars.bfd ==': unexpected 'end of template'"),
        ("gated }} x", "'gated }} x': "),
    ],
)
def test_what_when_names_is_known_before_rendering(tmp_path: Path, expression: str, said: str) -> None:
    write(
        tmp_path,
        "mine",
        f"extends: router\nwhen:\n  /etc/x: '{expression.replace(chr(39), chr(34))}'\n",
        "etc/x",
    )
    (line,) = refused(tmp_path)
    assert line.startswith(f"mine/role.yml:3:11: {said}")


def test_when_may_name_all_that_a_template_sees_and_own_keys(tmp_path: Path) -> None:
    expression = "vars.get('bfd') or vars.rack and ports and lab and node is of_role('router') and range(3)"
    write(
        tmp_path, "mine", f'extends: router\nnode-keys: [rack]\nwhen: {{/etc/x: "{expression}"}}\n', "etc/x"
    )
    assert load_role("mine", [tmp_path, shipped_templates()]).files
    routing = {each.name for each in fields(RoutingPlan)}
    assert routing | {"lab", "node", "role", "vars", "gated", "held"} == FILE_NAMES


def test_a_condition_on_a_file_that_the_role_does_not_have_is_told(tmp_path: Path) -> None:
    write(tmp_path, "mine", "extends: router\nwhen: {/etc/labctl/gat: gated}\n")
    (line,) = refused(tmp_path)
    assert (
        line
        == "mine/role.yml:2:8: no node of the role has '/etc/labctl/gat' (did you mean '/etc/labctl/gate'?)"
    )


def test_the_problems_of_all_roles_come_at_once(tmp_path: Path) -> None:
    write(tmp_path, "one", "acts_as: host\nimagee: x\n")
    write(tmp_path, "two", "extends: onne\n")
    said = refused(tmp_path)
    assert [line.partition(": ")[0] for line in said] == [
        "one/role.yml:1:1",
        "one/role.yml:2:1",
        "two/role.yml:1:10",
    ]
    assert said[2].endswith("there is no role 'onne' (did you mean 'one'?)")


def test_a_plain_var_has_the_type_of_its_default(tmp_path: Path) -> None:
    text = "vars: {a: 1, b: 0.5, c: x, d: true, e: [1], f: {k: v}, g: }\n"
    found = {name: var.types for name, var in role(tmp_path, text).declared.items()}
    assert found == {
        "a": (VarType.INT,),
        "b": (VarType.NUMBER,),
        "c": (VarType.TEXT,),
        "d": (VarType.BOOL,),
        "e": (VarType.LIST,),
        "f": (VarType.MAPPING,),
        "g": (VarType.ANY,),
    }
    assert role(tmp_path / "again", text).vars["f"] == {"k": "v"}


def test_a_role_changes_the_default_of_a_var_that_it_inherits_and_keeps_its_type(tmp_path: Path) -> None:
    found = role(tmp_path, "extends: router\nvars: {stop_drain: 0.5}\n").declared["stop_drain"]
    assert (found.types, found.default) == ((VarType.NUMBER,), 0.5)
    assert found.doc == load_roles()["router"].declared["stop_drain"].doc


def test_nothing_hangs_on_the_name_of_a_role(tmp_path: Path) -> None:
    """A role that is called as one of ours and says nothing is what any other is."""
    write(tmp_path, "router", "description: mine\n")
    assert load_role("router", [tmp_path]).acts_as is Behaviour.HOST


def test_traits_and_requirements_are_inherited(tmp_path: Path) -> None:
    found = role(tmp_path, "extends: nova-controller\nrequires: [{programs: [x], packages: [xx]}]\n")
    parent = load_roles()["nova-controller"]
    assert found.traits == {Trait.FORWARDS}
    assert found.requires[:-1] == parent.requires
    assert found.purpose == "paris"


def test_requirements_outlive_their_way_through_a_label() -> None:
    for each in load_roles().values():
        again = parse_requirements(requirements_text(each.requires))
        assert [(one.kind, one.names, one.fix) for one in again] == [
            (one.kind, one.names, one.fix) for one in each.requires
        ]


TOPOLOGY = """
name: t
nodes:
  h: {role: host}
  r[1-2]: {role: router, vars: %s}
links: [[h, r1], [r1, r2]]
%s
"""


def load(tmp_path: Path, given: str, rest: str = "") -> Lab:
    write(tmp_path, "needy", "extends: router\nvars: {key: {type: text}}\n")
    text = TOPOLOGY % (given, rest)
    return topology_from(Document("t.yml", parse(text, "t.yml"), text), roles=load_roles([tmp_path]))


@pytest.mark.parametrize(
    ("given", "rest", "said"),
    [
        ("{bdf: true}", "", "t.yml:5:33: role 'router' has no var 'bdf' (did you mean 'bfd'?)"),
        ("{bfd: 'yes'}", "", "t.yml:5:38: var 'bfd' of role 'router': expected true or false, not 'yes'"),
        (
            "{bgp_hold: 0.5}",
            "",
            "t.yml:5:43: var 'bgp_hold' of role 'router': expected a whole number, not 0.5",
        ),
        ("{daemons: 3}", "", "t.yml:5:42: var 'daemons' of role 'router': expected text or a list, not 3"),
        (
            "{}",
            "defaults: {vars: {bdf: 1}}",
            "t.yml:7:19: no role of this lab has a var 'bdf' (did you mean 'bfd'?)",
        ),
        (
            "{}",
            "defaults: {vars: {bfd: 1}}",
            "t.yml:7:24: var 'bfd' of role 'router': expected true or false, not 1",
        ),
        ("{}", "roles: {router: {vars: {bdf: 1}}}", "t.yml:7:25: role 'router' has no var 'bdf'"),
        (
            "{}",
            "roles: {gateway: {vars: {bfd: 1}}}",
            "t.yml:7:31: var 'bfd' of role 'gateway': expected true or",
        ),
    ],
)
def test_what_a_topology_gives_to_vars_is_checked_with_its_place(
    tmp_path: Path, given: str, rest: str, said: str
) -> None:
    with pytest.raises(InputError) as caught:
        load(tmp_path, given, rest)
    (line,) = str(caught.value).splitlines()
    assert line.startswith(said)


def test_a_var_without_a_default_must_be_given(tmp_path: Path) -> None:
    nodes = "  n: {role: needy}\n  m: {role: needy, vars: {key: k}}"
    text = (TOPOLOGY % ("{}", "")).replace("links:", f"{nodes}\nlinks:")
    write(tmp_path, "needy", "extends: router\nvars: {key: {type: text}}\n")
    with pytest.raises(InputError) as caught:
        topology_from(Document("t.yml", parse(text, "t.yml"), text), roles=load_roles([tmp_path]))
    assert str(caught.value) == (
        "t.yml:6:3: 'n' gives no value for 'key', which role 'needy' needs under vars"
    )


def test_numbers_may_be_whole_and_defaults_may_be_of_some_roles_only(tmp_path: Path) -> None:
    lab = load(tmp_path, "{fast_detect_hold: 1, daemons: [zebra]}", "defaults: {vars: {bfd: true}}")
    assert lab.node("r1").params["fast_detect_hold"] == 1
    assert lab.node("h").params["bfd"] is True


# ---- vars that have a better name by now --------------------------------------------------------------


RENAMED = "vars: {new: {default: 1, formerly: old}, other: 2}\n"


def former(tmp_path: Path, node: str, rest: str = "") -> tuple[Lab, list[str]]:
    (tmp_path / "mine/r").mkdir(parents=True, exist_ok=True)
    (tmp_path / "mine/r/role.yml").write_text(RENAMED)
    (tmp_path / "t.yml").write_text(
        f"name: t\ntemplates: mine\nnodes:\n  r1: {{role: r, vars: {node}}}\n{rest}"
    )
    lab, warnings = read_topology(tmp_path / "t.yml")
    return lab, [str(each).replace(f"{tmp_path}/", "") for each in warnings]


@pytest.mark.parametrize(
    ("node", "rest", "place"),
    [
        ("{old: 3}", "", "t.yml:4:24"),
        ("{}", "roles: {r: {vars: {old: 3}}}\n", "t.yml:5:20"),
        ("{}", "defaults: {vars: {old: 3}}\n", "t.yml:5:19"),
    ],
)
def test_the_former_name_of_a_var_is_taken_and_told(tmp_path: Path, node: str, rest: str, place: str) -> None:
    lab, warnings = former(tmp_path, node, rest)
    assert lab.node("r1").params["new"] == 3
    assert "old" not in lab.node("r1").params
    assert warnings == [f"{place}: old is called new now: 0.3 will refuse the old name"]


def test_a_current_name_is_told_of_nobody(tmp_path: Path) -> None:
    lab, warnings = former(tmp_path, "{new: 4}")
    assert (lab.node("r1").params["new"], warnings) == (4, [])


def test_both_names_side_by_side_are_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"t\.yml:4:24: old is the former name of new, which is there too"):
        former(tmp_path, "{old: 3, new: 4}")


def test_a_value_under_a_former_name_is_checked_as_any_other(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="var 'new' of role 'r': expected a whole number"):
        former(tmp_path, "{old: many}")


def test_a_role_that_sets_a_var_by_its_former_name_is_told_the_current_one(tmp_path: Path) -> None:
    (tmp_path / "mine/s").mkdir(parents=True)
    (tmp_path / "mine/s/role.yml").write_text("extends: r\nvars: {old: 5}\n")
    with pytest.raises(
        InputError, match=r"s/role\.yml:2:8: var 'old' of an inherited role is called 'new' now"
    ):
        former(tmp_path, "{}")


@pytest.mark.parametrize(
    "shape", ["nodes: 3", "nodes: {r1: 3}", "nodes: {r1: {role: [r], vars: 3}}", "roles: [r]", "defaults: x"]
)
def test_a_shape_that_is_wrong_is_complained_of_as_before(tmp_path: Path, shape: str) -> None:
    (tmp_path / "t.yml").write_text(f"name: t\n{shape}\n")
    with pytest.raises(InputError, match=r"t\.yml:"):
        read_topology(tmp_path / "t.yml")
