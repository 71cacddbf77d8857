"""The shipped topologies, rendered, are byte for byte what stands in tests/golden/expected.

When a change is meant: ``python tests/golden/regenerate.py``, and read the diff.
"""

import json
import os
import shutil
import subprocess
from pathlib import Path

import pytest
import yaml

from labctl.load import load_topology
from labctl.render import render
from labctl.runtime.containerlab.binary import find_program

HERE = Path(__file__).parent
EXPECTED = HERE / "expected"
TOPOLOGIES = HERE.parent.parent / "topologies"
CASES = yaml.safe_load((HERE / "cases.yml").read_text())


def contents(folder: Path) -> dict[str, tuple[bytes, bool]]:
    return {
        str(path.relative_to(folder)): (path.read_bytes(), os.access(path, os.X_OK))
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


@pytest.mark.slow
@pytest.mark.parametrize("name", CASES)
def test_rendered_folder_is_the_golden_one(name: str, tmp_path: Path) -> None:
    render(load_topology(TOPOLOGIES / f"{name}.yml", CASES[name]), tmp_path / name)
    rendered, golden = contents(tmp_path / name), contents(EXPECTED / name)
    assert rendered.keys() == golden.keys()
    for file, content in rendered.items():
        assert content == golden[file], f"{name}/{file}: regenerate.py if the change is meant"


def test_every_case_is_a_shipped_topology_and_has_its_golden_folder() -> None:
    assert set(CASES) <= {path.stem for path in TOPOLOGIES.glob("*.yml")}
    assert {path.name for path in EXPECTED.iterdir()} == set(CASES)


PROGRAMS = sorted(
    path for path in EXPECTED.rglob("*") if path.is_file() and path.read_bytes().startswith(b"#!/bin/sh")
)


@pytest.mark.slow
def test_programs_pass_shellcheck() -> None:
    shellcheck = shutil.which("shellcheck")
    if shellcheck is None:
        pytest.skip("shellcheck is not installed")
    assert len(PROGRAMS) > 30
    done = subprocess.run(
        [shellcheck, "--shell=sh", "--severity=style", *map(str, PROGRAMS)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout


@pytest.mark.parametrize("name", CASES)
def test_every_program_a_node_needs_is_there_and_can_be_run(name: str) -> None:
    lab = load_topology(TOPOLOGIES / f"{name}.yml", CASES[name])
    for node in lab.nodes:
        for program in ("boot", "ready", "stop"):
            assert os.access(EXPECTED / name / node.name / "etc/labctl" / program, os.X_OK)


def containerlab(definition: Path) -> subprocess.CompletedProcess[str]:
    """What the real one says to a definition: it reads it strictly and says what it would do."""
    program = find_program()
    assert program is not None
    command = [str(program), "deploy", "--dry-run", "--format", "json", "-t", str(definition)]
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=120)


@pytest.mark.clab
@pytest.mark.parametrize("name", CASES)
def test_the_real_containerlab_takes_the_golden_definition(name: str, tmp_path: Path) -> None:
    folder = shutil.copytree(EXPECTED / name, tmp_path / name)
    done = containerlab(folder / f"{name}.clab.yml")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["lab-name"] == name


@pytest.mark.clab
def test_the_real_containerlab_refuses_what_is_no_definition(tmp_path: Path) -> None:
    folder = shutil.copytree(EXPECTED / "pair", tmp_path / "pair")
    definition = folder / "pair.clab.yml"
    definition.write_text(definition.read_text().replace("cap-add:", "capadd:"))
    assert containerlab(definition).returncode != 0
