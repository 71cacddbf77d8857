"""What roles require of a machine is asked before anything starts, and told in one line each with its fix."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from labctl.clab.labels import requirements
from labctl.clab.parse import read_definition
from labctl.cli.errors import run
from labctl.lab.needs import lacks, needs_of
from labctl.linux import installed
from labctl.linux.features import LackingError
from labctl.load import load_topology
from labctl.render import render
from labctl.roles.requirements import Requirement
from labctl.runtime.embedded.boot_spec import missing
from labctl.shipped import folder

if TYPE_CHECKING:
    from pathlib import Path

ROLE = """\
extends: host
requires:
  - {programs: [sh, labctl-no-such], packages: [no-such], why: x}
  - {files: [/nowhere/x, /etc/passwd], fix: make it}
  - {libraries: [libc.so.6, libnosuch.so.7], fix: get it}
  - {modules: [json, no_such.module], fix: pip install no_such}
  - {programs: [labctl-nor-this], fix: buy it, when: vars.big}
vars: {big: false}
"""
LINES = [
    "program labctl-no-such is not there, needed by a, b: apt-get install no-such",
    "file /nowhere/x is not there, needed by a, b: make it",
    "library libnosuch.so.7 is not there, needed by a, b: get it",
    "Python module no_such.module is not there, needed by a, b: pip install no_such",
    "program labctl-nor-this is not there, needed by b: buy it",
]


@pytest.fixture
def topology(tmp_path: Path) -> Path:
    (tmp_path / "tpl/mine").mkdir(parents=True)
    (tmp_path / "tpl/mine/role.yml").write_text(ROLE)
    file = tmp_path / "t.yml"
    nodes = "{a: {role: mine}, b: {role: mine, vars: {big: true}}, h: {role: host}}"
    file.write_text(f"name: t\ntemplates: tpl\nnodes: {nodes}\nlinks: [[a, b], [a, h]]\n")
    return file


def test_what_is_lacking_is_one_line_whatever_the_number_of_nodes(topology: Path) -> None:
    assert lacks(needs_of(load_topology(topology))) == LINES
    many = [(f"n{number}", Requirement("programs", ("labctl-no-such",), ("p",))) for number in range(5)]
    assert lacks(many) == [
        "program labctl-no-such is not there, needed by n0, n1, n2 and 2 more: apt-get install p"
    ]


def test_the_definition_says_it_too_and_the_embedded_runtime_refuses_to_start(
    topology: Path, tmp_path: Path
) -> None:
    definition = read_definition(render(load_topology(topology), tmp_path / "out"))
    told = [line for line in missing(definition) if "needed by" in line]
    assert sorted(told) == sorted(LINES)


def test_validate_tells_it_and_the_file_is_sound_all_the_same(
    topology: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["validate", str(topology)]) == 0
    said = capsys.readouterr().err.splitlines()
    assert said == [
        f"{topology}: topology t, 3 nodes, 2 links",
        *(f"{topology}: --runtime netns cannot run it here: {line}" for line in LINES),
    ]


@pytest.mark.slow
def test_who_has_pacemaker_does_not_need_keepalived(tmp_path: Path) -> None:
    lab = load_topology(folder("topologies") / "paris-nova.yml", ["cluster=pacemaker"])
    definition = read_definition(render(lab, tmp_path / "out"))
    needed = {name for each in requirements(definition.node("nc1")) for name in each.names}
    assert "corosync" in needed
    assert "keepalived" not in needed
    assert {replace(each, why="", when="", packages=(), remedy=each.fix) for _, each in needs_of(lab)} == {
        each for node in definition.nodes for each in requirements(node)
    }


def test_a_kernel_without_a_feature_is_told_and_one_that_cannot_be_tried_is_not(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def broken() -> str:
        raise LackingError("Operation not supported")

    def untried() -> str:
        raise LackingError("takes root", untried=True)

    monkeypatch.setattr(installed, "FEATURES", {"a": broken, "b": untried})
    installed.feature_absent.cache_clear()
    try:
        assert lacks([("n", Requirement("kernel", ("a", "b"), remedy="other kernel"))]) == [
            "kernel feature a is not there, needed by n: other kernel"
        ]
    finally:
        installed.feature_absent.cache_clear()
