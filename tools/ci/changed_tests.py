"""Print the test files that a change since the last commit can reach, one a line.

A changed module reaches every module that imports it, however indirectly, and every test that imports one
of those. A changed file that is not Python (a template, a topology, a page) may be read by any test: then
all of them are named by their folder.
"""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import grimp

ROOT = Path(__file__).parents[2]
SUPPORT = Path("tests/support")
READ_BY_TESTS = ("labctl", "templates", "topologies", "scenarios", "docs", "tests", "images")


def changed_files() -> list[Path]:
    """Files that differ from the last commit, and new ones; relative to the root."""
    found: list[str] = []
    for command in (
        ["git", "diff", "--name-only", "HEAD"],
        ["git", "ls-files", "--others", "--exclude-standard"],
    ):
        done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
        found += done.stdout.splitlines()
    return [Path(line) for line in found]


def module_of(path: Path) -> str:
    """The dotted name of a module of labctl, or a helper's plain one."""
    if path.parent == SUPPORT:
        return path.stem
    parts = path.with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def imports_of(text: str) -> set[str]:
    """Every module that a file may import: ``from a import b`` may mean ``a`` or ``a.b``."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            found |= {node.module, *(f"{node.module}.{alias.name}" for alias in node.names)}
    return found


def reached_modules(changed: set[str]) -> set[str]:
    """The changed modules, and those of labctl that import one of them, however indirectly."""
    graph = grimp.build_graph("labctl", cache_dir=str(ROOT / ".import_linter_cache"))
    return changed.union(*(graph.find_downstream_modules(one) for one in changed & graph.modules))


def reached_tests(changed: set[Path], files: dict[Path, set[str]], reached: set[str]) -> set[Path]:
    """The tests that changed or import what was reached, by way of helpers too.

    Args:
        changed: changed files.
        files: every Python file under tests/, with what it imports.
        reached: modules that the change reaches.
    """
    known = set(reached)
    while True:
        helpers = {
            path.stem
            for path, imports in files.items()
            if path.parent == SUPPORT and (path in changed or imports & known)
        }
        if helpers <= known:
            break
        known |= helpers
    return {
        path
        for path, imports in files.items()
        if path.name.startswith("test_") and (path in changed or imports & known)
    }


def main() -> int:
    """Print paths; nothing when no test can be reached."""
    changed = {path for path in changed_files() if path.parts[0] in READ_BY_TESTS}
    if any(path.suffix != ".py" or path.name == "conftest.py" for path in changed):
        print("tests")
        return 0
    modules = reached_modules({module_of(path) for path in changed if path.parts[0] == "labctl"})
    files = {
        path.relative_to(ROOT): imports_of(path.read_text())
        for path in (ROOT / "tests").rglob("*.py")
        if "golden/expected" not in path.as_posix()
    }
    for path in sorted(reached_tests(changed, files, modules)):
        print(path)
    return 0


if __name__ == "__main__":
    sys.exit(main())
