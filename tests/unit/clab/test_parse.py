"""containerlab files: ours, and those that others wrote."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from labctl.clab.definition import Bind, Definition
from labctl.clab.parse import is_definition, read_definition
from labctl.document.document import read_document
from labctl.errors import InputError
from labctl.model.lab import Endpoint, LinkPlan
from labctl.runtime.embedded.boot_spec import missing

# As in containerlab's own documentation of node inheritance and of link formats.
FOREIGN = """
name: frr01
mgmt: {network: custom_mgmt}
topology:
  defaults:
    env: {WHERE: defaults, SHARED: defaults}
    exec: [echo defaults]
  kinds:
    linux:
      image: alpine:3
      env: {WHERE: kind, KIND: "yes"}
      exec: [echo kind]
  groups:
    big:
      env: {WHERE: group}
      memory: 1GB
  nodes:
    r1:
      kind: linux
      group: big
      env: {WHERE: node, PRICE: "5$$", NUMBER: 7, FLAG: true}
      exec: [echo node]
      binds:
        - r1/daemons:/etc/frr/daemons
        - /abs/file:/etc/x:ro
      startup-delay: 3
    r2:
      kind: linux
      cmd: sh -c 'echo "$$HOME"; sleep 9'
      privileged: false
      cap-add: [NET_ADMIN]
    sw: {kind: bridge}
  links:
    - endpoints: ["r1:eth1", "r2:eth1"]
    - endpoints: ["r1:eth2", "sw:port1"]
      mtu: 1400
    - type: veth
      endpoints:
        - {node: r2, interface: eth2, mac: "02:00:00:00:00:0A"}
        - {node: sw, interface: port2}
"""


def _read(tmp_path: Path, text: str, name: str = "") -> Definition:
    path = tmp_path / "x.clab.yml"
    path.write_text(text)
    return read_definition(path, name=name)


def _problems(tmp_path: Path, text: str) -> list[str]:
    with pytest.raises(InputError) as caught:
        _read(tmp_path, text)
    return [str(problem).removeprefix(str(tmp_path)) for problem in caught.value.problems]


def test_node_over_group_over_kind_over_defaults(tmp_path: Path) -> None:
    node = _read(tmp_path, FOREIGN).node("r1")
    assert node.env == {
        "WHERE": "node",
        "SHARED": "defaults",
        "KIND": "yes",
        "PRICE": "5$",
        "NUMBER": "7",
        "FLAG": "true",
    }
    assert node.exec == ("echo defaults", "echo kind", "echo node")
    assert node.image == "alpine:3"


def test_binds_are_relative_to_the_file(tmp_path: Path) -> None:
    assert _read(tmp_path, FOREIGN).node("r1").binds == (
        Bind(tmp_path / "r1" / "daemons", "/etc/frr/daemons"),
        Bind(Path("/abs/file"), "/etc/x", read_only=True),
    )


def test_a_command_is_split_into_words_and_two_dollars_are_one(tmp_path: Path) -> None:
    assert _read(tmp_path, FOREIGN).node("r2").cmd == ("sh", "-c", 'echo "$HOME"; sleep 9')


def test_links_in_either_form(tmp_path: Path) -> None:
    assert _read(tmp_path, FOREIGN).links == (
        LinkPlan(0, Endpoint("r1", "eth1"), Endpoint("r2", "eth1"), 9500),
        LinkPlan(1, Endpoint("r1", "eth2"), Endpoint("sw", "port1"), 1400),
        LinkPlan(2, Endpoint("r2", "eth2"), Endpoint("sw", "port2"), 9500, ("02:00:00:00:00:0a", "")),
    )


def test_a_bridge_knows_its_ports(tmp_path: Path) -> None:
    node = _read(tmp_path, FOREIGN).node("sw")
    assert (node.kind, node.env) == ("bridge", {"LABCTL_INTERFACES": "port1 port2"})


def test_a_privileged_container_gets_what_nodes_use_of_that(tmp_path: Path) -> None:
    definition = _read(tmp_path, FOREIGN)
    assert "NET_ADMIN" in definition.node("r1").cap_add
    assert definition.node("r2").cap_add == ("NET_ADMIN",)


def test_variables_of_the_environment_are_filled_in(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("C_IMAGE", "debian:12")
    text = "name: a\ntopology: {nodes: {n: {image: '${C_IMAGE}', env: {X: '${C_NONE:-y}$C_NONE'}}}}"
    node = _read(tmp_path, text).node("n")
    assert (node.image, node.env) == ("debian:12", {"X": "y$C_NONE"})


def test_the_kind_brings_a_group_and_the_group_a_kind(tmp_path: Path) -> None:
    text = """
name: x
topology:
  defaults: {group: rest, binds: [a:/etc/x, b:/etc/y], exec: [one, one]}
  kinds:
    Linux: {image: wrong}
    linux: {group: ours, image: 'alpine:3'}
  groups:
    ours: {cmd: sleep 1, exec: [one, two], binds: [c:/etc/x]}
    rest: {kind: linux}
    sat: {kind: nokia_srlinux}
  nodes:
    a: {}
    b: {group: sat, image: ""}
"""
    definition = _read(tmp_path, text)
    a, b = definition.nodes
    assert (a.kind, a.image, a.cmd, a.exec) == ("linux", "alpine:3", ("sleep", "1"), ("one", "two"))
    assert a.binds == (Bind(tmp_path / "c", "/etc/x"), Bind(tmp_path / "b", "/etc/y"))
    assert b.kind == "nokia_srlinux"


def test_an_empty_text_is_no_value(tmp_path: Path) -> None:
    text = "name: x\ntopology: {kinds: {linux: {image: alpine}}, nodes: {a: {kind: linux, image: ''}}}"
    assert _read(tmp_path, text).node("a").image == "alpine"


def test_magic_variables_in_commands_and_binds(tmp_path: Path) -> None:
    text = """
name: x
topology:
  defaults:
    exec: [echo __clabNodeName__ of __clabLabName__ in __clabDir__]
    binds: ['conf/__clabNodeName__.txt:/etc/own', '__clabNodeDir__/f:/etc/f']
  nodes: {a: {}, b: {}}
"""
    node = _read(tmp_path, text, name="mine").node("b")
    assert node.exec == (f"echo b of clab-mine in {tmp_path}/clab-mine",)
    assert [bind.source for bind in node.binds] == [
        tmp_path / "conf" / "b.txt",
        tmp_path / "clab-mine" / "b" / "f",
    ]


def test_interfaces_of_other_kinds_by_the_names_of_their_vendors(tmp_path: Path) -> None:
    text = """
name: x
topology:
  nodes:
    {s: {kind: srl}, t: {kind: nokia_srsim}, i: {kind: cisco_iol}, j: {kind: vr-vmx}, c: {kind: ceos}}
  links:
    - endpoints: ["s:ethernet-1/1", "t:1/1/c2/1"]
    - endpoints: ["i:Ethernet0/1", "j:ge-0/0/0"]
    - endpoints: [{node: s, interface: ethernet-1/2/3}, {node: c, interface: Ethernet1/1}]
      type: veth
      mtu: "${M:=1400}"
"""
    links = _read(tmp_path, text).links
    assert [str(end) for link in links for end in link.ends] == [
        "s:e1-1",
        "t:e1-1-c2-1",
        "i:eth1",
        "j:eth1",
        "s:e1-2-3",
        "c:Ethernet1-1",
    ]
    assert links[2].mtu == 1400


def test_a_name_given_by_the_caller_wins(tmp_path: Path) -> None:
    assert _read(tmp_path, FOREIGN, name="mine").name == "mine"


def test_files_are_told_by_their_names_and_by_what_they_hold(tmp_path: Path) -> None:
    assert _recognized(tmp_path, "a.clab.yml", "{}")
    assert _recognized(tmp_path, "a.clab.yaml", "{}")
    assert _recognized(tmp_path, "lab.yml", FOREIGN)
    assert not _recognized(tmp_path, "clab.yml", "{name: x, nodes: {a: {role: host}}}")
    assert not _recognized(tmp_path, "s.yml", "{name: x, topology: x.clab.yml, traffic: []}")


def _recognized(folder: Path, name: str, text: str) -> bool:
    (folder / name).write_text(text)
    return is_definition(read_document(folder / name))


def test_what_a_network_mode_asks_is_refused_with_its_place(tmp_path: Path) -> None:
    text = "name: x\ntopology:\n  kinds:\n    linux: {network-mode: 'container:r1'}\n  nodes:\n"
    nodes = "    a: {image: alpine}\n    b: {image: alpine, network-mode: none}\n"
    (line,) = missing(_read(tmp_path, text + nodes))
    assert line.startswith(f"{tmp_path}/x.clab.yml:4:13: node a: `network-mode` other than none")


@pytest.mark.parametrize(
    ("text", "line", "told"),
    [
        ("", 0, "empty"),
        ("[]", 1, "expected a containerlab file"),
        ("name: x\n", 1, "expected `topology:`"),
        ("name: ../x\ntopology: {nodes: {a: {}}}", 1, "not a name for a lab"),
        ("topology: {nodes: {a: {}}}", 1, "has no `name:`"),
        ("name: x\ntopology: {nodes: {'a;b': {}}}", 2, "not a name for a node"),
        ("name: x\ntopology:\n  nodes:\n    a:\n      binds: [nothing]", 5, "is no bind"),
        ("name: x\ntopology:\n  nodes:\n    a:\n      sysctls: {kernel.x: 1}", 5, "expected net.*"),
        ("name: x\ntopology:\n  nodes:\n    a:\n      sysctls: {net.ipv4/../../x: 1}", 5, "expected net.*"),
        ("name: x\ntopology:\n  nodes:\n    a:\n      entrypont: sh", 5, "did you mean 'entrypoint'"),
        ('name: x\ntopology:\n  nodes:\n    a: {cmd: "\'"}', 4, "cannot be split"),
        ("name: x\ntopology:\n  nodes: {a: {}, b: {}}\n  links:\n  - endpoints: [a:e1]", 5, "two endpoints"),
        (
            "name: x\ntopology:\n  nodes: {a: {}, bb: {}}\n  links:\n  - endpoints: [a:e1, bc:e1]",
            5,
            "unknown node 'bc'",
        ),
        ("name: x\ntopology:\n  nodes: {a: {}}\n  links:\n  - endpoints: [a:e1, a:e1]", 5, "to itself"),
        (
            "name: x\ntopology: {nodes: {a: {}}, links: [{endpoints: [a:x, a:y]}, {endpoints: [a:y, a:z]}]}",
            2,
            "is an end of link 1 already",
        ),
        (
            "name: x\ntopology:\n  nodes: {a: {}}\n  links:\n  - endpoints: [a:0/0, a:e2]",
            5,
            "not a name for an",
        ),
        ("name: '{{ .x }}'\ntopology: {}", 1, "Go template"),
        ("name: x\ntopology:\n  nodes: {a: {image: '${X'}}", 3, "expected `}` after `${X`"),
    ],
)
def test_what_is_wrong_is_told_with_its_line(tmp_path: Path, text: str, line: int, told: str) -> None:
    problems = _problems(tmp_path, text)
    assert any(told in problem for problem in problems), problems
    assert not line or any(f":{line}:" in problem for problem in problems), problems


def test_every_problem_is_told_at_once(tmp_path: Path) -> None:
    text = "name: x y\ntopology:\n  nodes: {'a b': {}, c: {binds: [z]}}\n  links: [{endpoints: [q:e1, c:e1]}]"
    assert len(_problems(tmp_path, text)) == 4


def test_what_only_containerlab_can_do_is_said_and_no_error(tmp_path: Path) -> None:
    definition = _read(
        tmp_path,
        "name: x\ntopology:\n  nodes:\n    a: {kind: nokia_srlinux}\n    b: {image: quay.io/some/daemon}\n"
        "    c: {cmd: /no/such/program}\n  links: [{endpoints: [a:e1-1, host:x]}]",
    )
    lacks = missing(definition)
    assert any("no kind 'nokia_srlinux'" in lack or "kind 'nokia_srlinux'" in lack for lack in lacks)
    assert any("quay.io/some/daemon starts by itself" in lack for lack in lacks)
    assert any("/no/such/program is not on this machine" in lack for lack in lacks)
    assert any("leads out of the lab" in lack for lack in lacks)


def _is_read_or_refused(path: Path) -> bool:
    try:
        read_definition(path)
    except InputError as error:
        return bool(error.problems)
    return True


@given(st.text(max_size=200))
def test_any_text_is_read_or_refused_clearly(tmp_path_factory: pytest.TempPathFactory, text: str) -> None:
    path = tmp_path_factory.getbasetemp() / "any.clab.yml"
    path.write_text(text, encoding="utf-8", errors="replace")
    assert _is_read_or_refused(path)


_SCALARS = st.one_of(st.none(), st.booleans(), st.integers(-5, 5), st.text("ab:/$ {}", max_size=6))
_KEYS = st.sampled_from(["nodes", "links", "kinds", "groups", "a", "cmd", "binds", "endpoints", "env", "mtu"])
_TREES = st.recursive(
    _SCALARS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(_KEYS, inner, max_size=4),
    max_leaves=20,
)


@given(_TREES)
def test_any_tree_is_read_or_refused_clearly(tmp_path_factory: pytest.TempPathFactory, tree: object) -> None:
    import json  # noqa: PLC0415 - JSON is YAML

    path = tmp_path_factory.getbasetemp() / "tree.clab.yml"
    path.write_text(json.dumps({"name": "x", "topology": tree}))
    assert _is_read_or_refused(path)
