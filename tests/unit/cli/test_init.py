"""labctl init: what it writes is sound, and it overwrites nothing."""

from __future__ import annotations

import json
import os
import re
import shlex
from typing import TYPE_CHECKING

import pytest
import yaml

from labctl import __version__
from labctl.cli.errors import run
from labctl.cli.init import starter_files

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture(autouse=True)
def _empty(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


@pytest.mark.slow
def test_what_it_writes_can_be_run(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert run(["init", "edge"]) == 0
    assert capsys.readouterr().out.splitlines() == [f"edge/{path}" for path in starter_files("edge")]
    monkeypatch.chdir("edge")
    assert run(["validate", "topology.yml", "scenario.yml"]) == 0
    assert capsys.readouterr().err == (
        "topology.yml: topology edge, 6 nodes, 6 links\n"
        "scenario.yml: scenario edge on lab edge, 2 streams, 2 steps\n"
    )


@pytest.mark.slow
def test_editors_find_the_schemas_of_this_version(capsys: pytest.CaptureFixture[str]) -> None:
    files = starter_files("edge")
    named = json.loads(files[".vscode/settings.json"])["yaml.schemas"]
    for schema, file in named.items():
        kind = file.removesuffix(".yml")
        assert files[file].startswith(f"# yaml-language-server: $schema={schema}\n")
        assert run(["schema", kind]) == 0
        assert files[schema] == capsys.readouterr().out


def test_no_place_is_left_to_fill_in() -> None:
    for path, text in starter_files("edge").items():
        if not path.endswith(".json"):
            assert not re.search(r"\bNAME\b|\bVERSION\b", text), path


def test_the_readme_and_the_workflow_call_commands_that_there_are() -> None:
    files = starter_files("edge")
    readme = re.findall(r"^    (.*?)(?:\s+#.*)?$", files["README.md"], re.MULTILINE)
    steps = yaml.safe_load(files[".github/workflows/labctl.yml"])["jobs"]["failover"]["steps"]
    lines = [*readme, *(step["run"] for step in steps if '"$(command -v labctl)"' in step.get("run", ""))]
    called = [line.removeprefix("sudo ").replace('"$(command -v labctl)"', "labctl") for line in lines]
    assert len(readme) == 3
    assert [line.split()[1] for line in called] == ["doctor", "validate", "run", "doctor", "run"]
    from labctl.cli.app import load_command  # noqa: PLC0415

    for line in called:
        _, name, *words = shlex.split(line)
        load_command(name).make_context(name, words)
    assert any(step.get("run") == f"pipx install labctl-testbed=={__version__}" for step in steps)


@pytest.mark.parametrize("there", ["topology.yml", ".vscode/settings.json"])
def test_nothing_is_overwritten_and_nothing_written_beside_it(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, there: str
) -> None:
    target = tmp_path / "edge" / there
    target.parent.mkdir(parents=True)
    target.write_text("mine")
    assert run(["init", "edge"]) == 2
    assert capsys.readouterr().err == f"edge/{there}: is there already; nothing was written\n"
    assert [path for path in (tmp_path / "edge").rglob("*") if path.is_file()] == [target]
    assert target.read_text() == "mine"


@pytest.mark.parametrize("name", ["", "Edge", "a/b", "..", "-x", "a" * 32])
def test_a_name_that_no_lab_can_have_is_refused(capsys: pytest.CaptureFixture[str], name: str) -> None:
    assert run(["init", "--", name]) == 2
    assert "cannot be the name of a lab" in capsys.readouterr().err
    assert os.listdir() == []  # noqa: PTH208


def test_a_file_in_the_place_of_the_folder_is_refused(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    (tmp_path / "edge").touch()
    assert run(["init", "edge"]) == 2
    assert capsys.readouterr().err == "edge: is no folder; nothing was written\n"
