"""A user's file is read once, and what it said is passed on."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from labctl.errors import InputError
from labctl.lab.loaded import load_lab_file

TOPOLOGY = "name: piped\nvars: {n: 1}\nnodes: {'h[1-{n}]': {role: host}}\n"
CONTAINERLAB = """\
name: theirs
topology:
  nodes: {a: {cmd: sleep 1}, b: {cmd: sleep 1}}
  links: [{endpoints: ["a:eth1", "b:eth1"], mtu: 1400}]
"""


def test_a_topology_that_can_be_read_only_once_is_loaded() -> None:
    reader, writer = os.pipe()
    with os.fdopen(writer, "w") as file:
        file.write(TOPOLOGY)
    try:
        loaded = load_lab_file(Path(f"/dev/fd/{reader}"), sets=["n=3"])
    finally:
        os.close(reader)
    assert [node.name for node in loaded.lab.nodes] == ["h1", "h2", "h3"]
    assert loaded.text == TOPOLOGY
    assert loaded.definition is None


def test_a_containerlab_file_is_loaded_with_its_links_and_given_addresses(
    tmp_path: Path,
) -> None:
    path = tmp_path / "theirs.clab.yml"
    path.write_text(CONTAINERLAB)
    loaded = load_lab_file(path, name="mine", addresses=[("a", "192.0.2.1"), ("a", "192.0.2.9")])
    path.write_text("edited since")
    assert loaded.text == CONTAINERLAB
    assert loaded.definition is not None
    assert loaded.lab.name == loaded.definition.name == "mine"
    assert loaded.lab.links == loaded.definition.links
    assert [(str(link.a), str(link.b), link.mtu) for link in loaded.lab.links] == [("a:eth1", "b:eth1", 1400)]
    assert [str(node.loopback4) for node in loaded.lab.nodes] == ["192.0.2.1/32", "None"]


def test_what_only_a_topology_has_is_refused_all_at_once(tmp_path: Path) -> None:
    path = tmp_path / "theirs.clab.yml"
    path.write_text(CONTAINERLAB)
    with pytest.raises(InputError) as caught:
        load_lab_file(path, name="no name", sets=["a=1"], templates=[tmp_path])
    assert [problem.file.split(maxsplit=1)[0] for problem in caught.value.problems] == [
        "--name",
        "--set",
        "--templates",
    ]
