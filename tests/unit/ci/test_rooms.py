"""The rooms: drawn as the contracts say, every one of them under a contract, and no circle between them."""

from __future__ import annotations

import importlib.util
import re
import sys
from graphlib import CycleError, TopologicalSorter
from pathlib import Path
from typing import TYPE_CHECKING

import grimp
import pytest

if TYPE_CHECKING:
    from types import ModuleType

ROOT = Path(__file__).parents[3]
PYPROJECT = ROOT / "pyproject.toml"

ABOVE_ALL = frozenset({"labctl", "labctl.__main__"})
"""The package itself and its entry point: no rooms."""


@pytest.fixture(scope="module")
def tool() -> ModuleType:
    """tools/rooms.py, which is no package."""
    spec = importlib.util.spec_from_file_location("labctl_rooms", ROOT / "tools/rooms.py")
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def graph() -> grimp.ImportGraph:
    """Every import of labctl, those for type checking too."""
    return grimp.build_graph("labctl", cache_dir=None)


def room_of(module: str) -> str:
    """The room of a module: a child of labctl, and of ``overlay`` and ``runtime`` one level deeper."""
    parts = module.split(".")
    deep = len(parts) > 2 and parts[1] in ("overlay", "runtime")
    return ".".join(parts[: 3 if deep else 2])


def arrows(graph: grimp.ImportGraph) -> dict[str, set[str]]:
    """Which room imports which others."""
    found: dict[str, set[str]] = {}
    for module in graph.modules:
        room = room_of(module)
        targets = {room_of(target) for target in graph.find_modules_directly_imported_by(module)}
        found.setdefault(room, set()).update(targets - {room})
    return found


def circle(imports: dict[str, set[str]]) -> list[str]:
    """One circle, with its first member again at the end; empty if there is none."""
    try:
        TopologicalSorter(imports).prepare()
    except CycleError as error:
        return list(error.args[1])
    return []


@pytest.mark.parametrize("page", ["CONTRIBUTING.md", "docs/architecture.md"])
def test_the_picture_of_the_rooms_is_what_the_contracts_say(tool: ModuleType, page: str) -> None:
    assert page in tool.PAGES
    text = (ROOT / page).read_text()
    assert tool.redrawn(text, tool.draw(tool.read_rooms(PYPROJECT))) == text, "python tools/rooms.py --write"


def test_the_picture_changes_with_the_contracts(tool: ModuleType, tmp_path: Path) -> None:
    text = PYPROJECT.read_text()
    line = '    "labctl.verdict",\n'
    assert text.count(line) == 1
    changed = tmp_path / "pyproject.toml"
    changed.write_text(text.replace(line, ""))
    assert tool.draw(tool.read_rooms(changed)) != tool.draw(tool.read_rooms(PYPROJECT))


@pytest.mark.parametrize("page", ["nothing", "{1}{0}", "{0}", "{0}{1}{1}", "{0}{0}{1}"])
def test_a_page_without_its_two_marks_is_refused(tool: ModuleType, page: str) -> None:
    with pytest.raises(ValueError, match="in this order"):
        tool.redrawn(page.format(tool.BEGIN, tool.END), "picture")


def test_every_room_is_under_a_contract(tool: ModuleType, graph: grimp.ImportGraph) -> None:
    named = {f"labctl.{room}" for room in tool.read_rooms(PYPROJECT).every}
    free = {
        module
        for module in graph.modules - ABOVE_ALL - {"labctl.overlay"}
        if not any(f"{module}.".startswith(f"{room}.") for room in named)
    }
    assert not free, "no contract in pyproject.toml says what these may import"


def test_every_room_has_a_row_in_the_architecture(tool: ModuleType) -> None:
    page = (ROOT / "docs/architecture.md").read_text()
    _, _, table = page.partition("| room | turns | into | never |\n")
    rows = table.partition("\n\n")[0].splitlines()[1:]
    named = [name for row in rows for name in re.findall("`([^`]+)`", row.split("|")[1])]
    assert sorted(named) == sorted(tool.read_rooms(PYPROJECT).every)


def test_rooms_import_one_another_in_no_circle(graph: grimp.ImportGraph) -> None:
    assert not circle(arrows(graph))


def test_modules_import_one_another_in_no_circle_when_they_are_loaded() -> None:
    graph = grimp.build_graph("labctl", exclude_type_checking_imports=True, cache_dir=None)
    imports = {module: graph.find_modules_directly_imported_by(module) for module in graph.modules}
    assert not circle(imports)


def test_a_circle_is_found() -> None:
    assert circle({"a": {"b"}, "b": {"c"}, "c": {"a"}, "d": set()})
    assert not circle({"a": {"b", "c"}, "b": {"c"}})
