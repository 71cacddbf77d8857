"""Kinds of the user's own, from a package that is installed beside labctl."""

from __future__ import annotations

import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.slow  # a process each, which scans what is installed

MODULE = """
from typing import Annotated

from pydantic import Field

from labctl.document.entries import Entry, Name
from labctl.events import now_ns
from labctl.fault.types import Effect
from labctl.scenario.kinds.action import Action, ActionKind, NoParams


class PaintEntry(Entry):
    node: Annotated[Name, Field(alias="paint", description="node to paint")]


def _read(entry):
    return (Action(KIND, (entry.node,), NoParams()),)


def _act(lab, action, listen):
    now = now_ns()
    return Effect(action.name, action.label, now, now, now, now)


KIND = ActionKind(
    name="paint", doc="paints the node", example="{paint: gw1}", entry=PaintEntry, read=_read, act=_act
)
"""
TOPOLOGY = "name: t\nnodes: {a: {role: host}, b: {role: host}}\nlinks: [[a, b]]\n"
SCENARIO = (
    "name: s\ntopology: t.yml\ntraffic: [{name: x, from: a, to: b}]\ntimeline:\n  - {at: 1s, paint: %s}\n"
)


def install(folder: Path, entry: str, module: str = MODULE) -> None:
    """A package as pip leaves it behind."""
    (folder / "painter.py").write_text(module)
    info = folder / "painter-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: painter\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(f"[labctl.kinds]\n{entry}\n")


def validate(folder: Path, node: str = "a") -> subprocess.CompletedProcess[str]:
    (folder / "t.yml").write_text(TOPOLOGY)
    (folder / "s.yml").write_text(SCENARIO % node)
    return subprocess.run(
        [sys.executable, "-m", "labctl", "validate", "s.yml"],
        cwd=folder,
        env={
            "PYTHONPATH": f"{folder}:{':'.join(path for path in sys.path if path)}",
            "PATH": "/usr/bin:/bin",
        },
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.mark.slow
@pytest.mark.parametrize("entry", ["paint = painter", "paint = painter:KIND"])
def test_a_kind_of_an_installed_package_is_a_word_like_any_other(tmp_path: Path, entry: str) -> None:
    install(tmp_path, entry)
    done = validate(tmp_path)
    assert (done.returncode, done.stderr) == (0, "s.yml: scenario s on lab t, 1 stream, 1 step\n")
    done = validate(tmp_path, node="c")
    assert done.returncode == 2
    assert done.stderr == "s.yml:5:21: unknown node 'c' (known: a, b)\n"


@pytest.mark.slow
@pytest.mark.parametrize(
    ("entry", "module", "told"),
    [
        ("paint = painter", "1 / 0", "cannot be loaded: ZeroDivisionError: division by zero"),
        ("paint = nobody", MODULE, "cannot be loaded: ModuleNotFoundError: No module named 'nobody'"),
        ("paint = painter:now_ns", MODULE, "leads to no ActionKind and no ConditionKind: painter:now_ns"),
        ("pain = painter", MODULE, "leads to the kind 'paint': both must have one name"),
        (
            "power-off = painter",
            MODULE.replace('"paint"', '"power-off"'),
            "a kind of that name is there already",
        ),
    ],
)
def test_a_kind_that_is_broken_is_one_line_with_its_package(
    tmp_path: Path, entry: str, module: str, told: str
) -> None:
    install(tmp_path, entry, module)
    done = validate(tmp_path)
    assert done.returncode == 2
    assert "Traceback" not in done.stderr
    assert done.stderr.count("\n") == 1
    name = entry.partition(" ")[0]
    assert f"the kind {name!r} of the package painter" in done.stderr
    assert told in done.stderr
