"""A check is a file: it is found where it lies, and stands where it says."""

from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING

import pytest

import labctl.doctor.checks
from labctl.cli.app import load_command
from labctl.cli.doctor import For
from labctl.doctor.discover import discover
from labctl.doctor.model import CheckGroup, Purpose
from labctl.doctor.run import checks

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path
    from types import ModuleType

ONE = """
from labctl.doctor.model import ALL, CheckGroup, MachineCheck

CHECK = MachineCheck(
    "{name}", CheckGroup.{group}, "r", lambda: "seen by {name}", needed=ALL, fix="f", order={order}
)
"""


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Path]:
    """A further folder of labctl.doctor.checks, for the length of a test."""
    path = labctl.doctor.checks.__path__
    before = set(sys.modules)
    path.append(str(tmp_path))
    yield tmp_path
    path.remove(str(tmp_path))
    for name in set(sys.modules) - before:
        if name.startswith("labctl.doctor.checks."):
            del sys.modules[name]


@pytest.fixture
def package(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[ModuleType]:
    """An empty package of checks."""
    made = type(sys)("some_checks")
    made.__path__ = [str(tmp_path)]
    monkeypatch.setitem(sys.modules, "some_checks", made)
    yield made
    for name in [name for name in sys.modules if name.startswith("some_checks.")]:
        del sys.modules[name]


def _names(package: ModuleType) -> list[str]:
    return [check.name for check in discover(package)]


@pytest.mark.slow
def test_a_new_check_is_one_file_and_labctl_doctor_runs_it(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (folder / "coffee.py").write_text(ONE.format(name="coffee", group="MACHINE", order=15))
    load_command("doctor").main(["--for", "containerlab", "--json"], standalone_mode=False)
    shown = json.loads(capsys.readouterr().out)
    # Between those that say 10 and 20.
    assert [finding["name"] for finding in shown][:3] == ["system", "coffee", "root"]
    assert shown[1]["seen"] == "seen by coffee"


def test_checks_stand_by_group_then_order_then_name(package: ModuleType, tmp_path: Path) -> None:
    for number, (name, group, order) in enumerate(
        [("z", "KERNEL", 1), ("y", "MACHINE", 9), ("b", "MACHINE", 8), ("a", "MACHINE", 8)]
    ):
        (tmp_path / f"file{number}.py").write_text(ONE.format(name=name, group=group, order=order))
    assert _names(package) == ["a", "b", "y", "z"]


def test_a_file_in_a_folder_is_found_too(package: ModuleType, tmp_path: Path) -> None:
    (tmp_path / "inner").mkdir()
    (tmp_path / "inner/__init__.py").touch()
    (tmp_path / "inner/one.py").write_text(ONE.format(name="one", group="TOOLS", order=1))
    assert _names(package) == ["one"]


def test_a_file_may_find_out_what_there_is_to_check(package: ModuleType, tmp_path: Path) -> None:
    text = "from dataclasses import replace\n" + ONE.format(name="x", group="TOOLS", order=1)
    (tmp_path / "some.py").write_text(
        text.replace("CHECK", "_ONE") + "def checks():\n    return [replace(_ONE, name=n) for n in 'qp']\n"
    )
    assert _names(package) == ["p", "q"]


def test_a_file_without_a_check_is_not_passed_over(package: ModuleType, tmp_path: Path) -> None:
    (tmp_path / "nothing.py").write_text("CHEKC = 1\n")
    with pytest.raises(TypeError, match=r"some_checks\.nothing has neither CHECK nor checks\(\)"):
        discover(package)


def test_a_folder_that_cannot_be_imported_is_not_passed_over(package: ModuleType, tmp_path: Path) -> None:
    (tmp_path / "inner").mkdir()
    (tmp_path / "inner/__init__.py").write_text("import there_is_no_such_module\n")
    with pytest.raises(ImportError, match="there_is_no_such_module"):
        discover(package)


def test_every_group_has_its_checks_and_no_two_want_the_same_place() -> None:
    every = checks()
    assert {check.group for check in every} == set(CheckGroup)
    places = [(check.group, check.order) for check in every]
    assert len(set(places)) == len(places)


def test_the_command_knows_every_purpose() -> None:
    assert {choice.value for choice in For} == {*Purpose, "all"}
