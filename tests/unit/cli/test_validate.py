import json
from pathlib import Path

import pytest

from labctl.cli.errors import run

ROOT = Path(__file__).parents[3]


def test_sound_files_are_told_by_their_kind(capsys: pytest.CaptureFixture[str]) -> None:
    ring, ecmp = str(ROOT / "topologies/ring.yml"), str(ROOT / "topologies/ecmp-gateways.yml")
    assert run(["validate", ring, ecmp]) == 0
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err == (
        f"{ring}: topology ring, 30 nodes, 30 links\n{ecmp}: topology ecmp-gateways, 8 nodes, 12 links\n"
    )


def test_problems_of_all_files_come_together_with_exit_code_2(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    (tmp_path / "a.yml").write_text("name: a\nnodes: {r1: {role: ruter}}\n")
    (tmp_path / "b.yml").write_text("")
    assert run(["validate", str(tmp_path / "a.yml"), str(tmp_path / "b.yml"), str(tmp_path)]) == 2
    lines = capsys.readouterr().err.replace(str(tmp_path), "DIR").splitlines()
    assert lines == [
        "DIR: is a directory, expected a YAML file",
        "DIR/a.yml:2:20: unknown role 'ruter' (did you mean 'router'?)",
        "DIR/b.yml: is empty",
    ]


def test_set_reaches_the_topology(capsys: pytest.CaptureFixture[str]) -> None:
    ring = str(ROOT / "topologies/ring.yml")
    assert run(["validate", ring, "--set", "size=5"]) == 0
    assert "5 nodes" in capsys.readouterr().err
    assert run(["validate", ring, "--set", "sze=5"]) == 2
    assert "did you mean 'size'?" in capsys.readouterr().err


def test_a_scenario_is_known_by_its_keys(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    (tmp_path / "s.yml").write_text(
        "name: s\n"
        f"topology: {ROOT}/topologies/ecmp-gateways.yml\n"
        "traffic: [{name: in, from: ext1, to: srv1}]\n"
        "expect: [{loss: all, packets: 0}]\n"
    )
    assert run(["validate", str(tmp_path / "s.yml")]) == 0
    assert "scenario s on lab ecmp-gateways, 1 stream, 0 steps" in capsys.readouterr().err


def test_a_containerlab_file_is_known_by_its_name(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    file = tmp_path / "x.clab.yml"
    file.write_text(
        "name: x\ntopology:\n  nodes:\n    a: {kind: linux, image: i}\n    b: {kind: linux, image: i}\n"
        '  links:\n    - endpoints: ["a:eth1", "b:eth1"]\n'
    )
    assert run(["validate", str(file)]) == 0
    assert "containerlab file x, 2 nodes, 1 link" in capsys.readouterr().err


@pytest.mark.parametrize("kind", ["topology", "scenario", "result"])
def test_schemas_are_json_on_stdout(kind: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["schema", kind]) == 0
    assert json.loads(capsys.readouterr().out)["type"] == "object"
