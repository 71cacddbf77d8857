"""Shipped scenarios and topologies are found by name, from any folder."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from labctl.cli.errors import run
from labctl.errors import InputError
from labctl.shipped import examples, file_or_example, folder


@pytest.fixture(autouse=True)
def _empty(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def test_names_are_paths_without_their_suffix() -> None:
    assert examples("scenarios")["zero-loss-gateway"] == folder("scenarios") / "zero-loss-gateway.yml"
    assert "paris-vs-zero-loss/nova-network" in examples("scenarios")
    assert list(examples("topologies")) == sorted(examples("topologies"))


def test_the_kind_that_is_named_first_wins() -> None:
    name = Path("zero-loss-gateway")
    assert file_or_example(name, "scenarios", "topologies").parent.name == "scenarios"
    assert file_or_example(name, "topologies", "scenarios").parent.name == "topologies"
    assert file_or_example(Path("ring"), "scenarios", "topologies").parent.name == "topologies"


def test_a_file_of_the_users_wins_over_a_name(tmp_path: Path) -> None:
    (tmp_path / "ring").touch()
    assert file_or_example(Path("ring"), "topologies") == Path("ring")


def test_a_folder_hides_no_name_and_is_left_to_who_reads_it_otherwise(tmp_path: Path) -> None:
    (tmp_path / "ring").mkdir()
    (tmp_path / "mine").mkdir()
    assert file_or_example(Path("ring"), "topologies") == examples("topologies")["ring"]
    assert file_or_example(Path("mine"), "topologies") == Path("mine")


@pytest.mark.parametrize("given", ["ring.yml", "/nowhere/ring"])
def test_a_path_is_left_to_who_reads_it(given: str) -> None:
    assert file_or_example(Path(given), "topologies") == Path(given)


def test_an_unknown_name_is_answered_with_the_nearest() -> None:
    with pytest.raises(InputError, match="did you mean 'zero-loss-gateway'") as raised:
        file_or_example(Path("zero-los-gatewy"), "scenarios")
    assert "no shipped scenario of that name" in str(raised.value)
    with pytest.raises(InputError, match="labctl examples lists the names"):
        file_or_example(Path("qqqq"), "topologies")


@pytest.mark.parametrize("name", sorted({*examples("scenarios"), *examples("topologies")}))
def test_every_name_is_valid(name: str) -> None:
    assert run(["validate", name]) == 0


def test_each_command_takes_names(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    assert run(["graph", "pair"]) == 0
    assert "flowchart" in capsys.readouterr().out
    assert run(["render", "pair", "-o", str(tmp_path / "out")]) == 0
    assert capsys.readouterr().out == f"{tmp_path}/out/pair.clab.yml\n"


@pytest.mark.parametrize("command", ["up", "graph", "render -o out"])
def test_each_command_of_a_topology_answers_a_wrong_name(
    capsys: pytest.CaptureFixture[str], command: str
) -> None:
    assert run([*command.split(), "pare"]) == 2
    assert capsys.readouterr().err == (
        "pare: no such file, and no shipped topology of that name (did you mean 'pair'?)\n"
    )


@pytest.mark.parametrize("command", ["run", "validate"])
def test_wrong_names_are_told_together_with_other_problems(
    capsys: pytest.CaptureFixture[str], command: str, tmp_path: Path
) -> None:
    (tmp_path / "empty.yml").touch()
    assert run([command, "vrrp-power-cicle", "empty.yml", "pair"][: 3 if command == "run" else 4]) == 2
    told = capsys.readouterr().err
    assert "did you mean 'vrrp-power-cycle'?" in told
    assert "empty.yml: is empty" in told
    assert os.listdir(tmp_path) == ["empty.yml"]  # noqa: PTH208 - nothing was made
