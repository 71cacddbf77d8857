"""A change reaches the tests that import what was changed, by whatever way."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from types import ModuleType

ROOT = Path(__file__).parents[3]
FILES = {
    Path("tests/support/far.py"): {"labctl.errors"},
    Path("tests/support/near.py"): {"far"},
    Path("tests/unit/a/test_direct.py"): {"labctl.errors.InputError", "labctl.errors"},
    Path("tests/unit/a/test_by_helpers.py"): {"near"},
    Path("tests/unit/a/test_other.py"): {"labctl.events"},
}


@pytest.fixture(scope="module")
def tool() -> ModuleType:
    """tools/ci/changed_tests.py, which is no package."""
    spec = importlib.util.spec_from_file_location("labctl_changed_tests", ROOT / "tools/ci/changed_tests.py")
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


def names(found: set[Path]) -> set[str]:
    return {path.stem for path in found}


def test_a_module_reaches_the_tests_that_import_it_and_those_behind_helpers(tool: ModuleType) -> None:
    found = tool.reached_tests(set(), FILES, {"labctl.errors"})
    assert names(found) == {"test_direct", "test_by_helpers"}


def test_a_helper_reaches_its_users_and_a_test_itself(tool: ModuleType) -> None:
    changed = {Path("tests/support/near.py"), Path("tests/unit/a/test_other.py")}
    assert names(tool.reached_tests(changed, FILES, set())) == {"test_by_helpers", "test_other"}


def test_nothing_changed_reaches_nothing(tool: ModuleType) -> None:
    assert tool.reached_tests(set(), FILES, set()) == set()


def test_what_imports_a_module_is_reached_however_indirectly(tool: ModuleType) -> None:
    reached = tool.reached_modules({"labctl.errors"})
    assert {"labctl.errors", "labctl.document.document", "labctl.cli.up"} <= reached
    assert "labctl.events" not in reached


def test_from_imports_may_mean_a_module_or_a_name_in_one(tool: ModuleType) -> None:
    found = tool.imports_of("import a.b\nfrom c import d\ndef f():\n    from e.f import g\n")
    assert found == {"a.b", "c", "c.d", "e.f", "e.f.g"}


@pytest.mark.parametrize(
    ("path", "name"),
    [
        ("labctl/document/document.py", "labctl.document.document"),
        ("labctl/load/__init__.py", "labctl.load"),
        ("tests/support/effort.py", "effort"),
    ],
)
def test_a_file_is_known_by_the_name_that_imports_use(tool: ModuleType, path: str, name: str) -> None:
    assert tool.module_of(Path(path)) == name
