"""What images hold of labctl: all that their programs import, and nothing else."""

from __future__ import annotations

import ast
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).parents[3]
INSTALLED = "/usr/lib/python3/dist-packages/"
PROGRAMS = {
    "overlay": ("labctl.overlay.agent.__main__",),
    "controller": ("labctl.overlay.store.seed",),
    "nova": (
        "labctl.nova.__main__",
        "labctl.nova.compute",
        "labctl.nova.dhcpbridge",
        "labctl.nova.release",
        "labctl.nova.segments",
    ),
}
"""Image -> modules that its nodes run with ``labctl-python -m``."""


def installed(image: str) -> set[str]:
    """Modules that an image's Dockerfile copies out of this repository."""
    found = set()
    text = (ROOT / "images" / image / "Dockerfile").read_text().replace("\\\n", " ")
    for words in (line.split() for line in text.splitlines()):
        if not words or words[0] != "COPY" or not words[-1].startswith(INSTALLED):
            continue
        folder = Path(words[-1].removeprefix(INSTALLED))
        for source in words[1:-1]:
            if source.startswith("--from") or source.endswith(".o"):
                continue
            files = list(ROOT.glob(source))
            assert files, f"{image}: nothing to copy at {source}"
            for file in files:
                # Docker copies what is in a folder, not the folder itself.
                inner = {one: one.relative_to(file) for one in file.rglob("*.py")} or {file: Path(file.name)}
                found |= {".".join((folder / name).with_suffix("").parts) for name in inner.values()}
    return {module.removesuffix(".__init__") for module in found}


def file_of(module: str) -> Path | None:
    """Its file in this repository."""
    base = ROOT.joinpath(*module.split("."))
    return next((one for one in (base / "__init__.py", base.with_suffix(".py")) if one.exists()), None)


def imports(module: str, *, types: bool) -> Iterator[str]:
    """Modules of labctl that a module imports, also inside functions; and its packages.

    With ``types`` also those that it imports for its annotations alone.
    """
    parts = module.split(".")
    yield from (".".join(parts[:n]) for n in range(1, len(parts)))
    file = file_of(module)
    assert file is not None, module
    todo: list[ast.AST] = [ast.parse(file.read_text())]
    while todo:
        node = todo.pop()
        if not types and isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test):
            todo += node.orelse
            continue
        if isinstance(node, ast.Import):
            yield from (one.name for one in node.names if one.name.split(".")[0] == "labctl")
        elif isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] == "labctl":
            assert node.module is not None
            yield node.module
            inner = (f"{node.module}.{one.name}" for one in node.names)
            yield from (one for one in inner if file_of(one) is not None)
        todo += ast.iter_child_nodes(node)


def reached(programs: tuple[str, ...], *, types: bool = False) -> set[str]:
    """All that they import, one by another."""
    found: set[str] = set()
    todo = list(programs)
    while todo:
        module = todo.pop()
        if module not in found:
            found.add(module)
            todo += imports(module, types=types)
    return found


@pytest.mark.slow
@pytest.mark.parametrize("image", sorted(PROGRAMS))
def test_an_image_holds_what_its_programs_import_and_nothing_else(image: str) -> None:
    held = installed(image)
    assert sorted(reached(PROGRAMS[image]) - held) == [], "missing in the image"
    assert sorted(held - reached(PROGRAMS[image], types=True)) == [], "nothing in the image names it"


@pytest.mark.slow
@pytest.mark.parametrize("image", sorted(PROGRAMS))
def test_programs_can_be_imported_where_there_is_nothing_else_of_labctl(image: str, tmp_path: Path) -> None:
    for module in installed(image):
        source = file_of(module)
        assert source is not None
        target = tmp_path / source.relative_to(ROOT)
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(source, target)
    lines = [
        f"import sys; sys.path.insert(0, {str(tmp_path)!r})",
        *(f"import {name}" for name in PROGRAMS[image]),
    ]
    lines.append("import labctl; print(labctl.__file__)")
    done = subprocess.run(
        [sys.executable, "-I", "-c", "; ".join(lines)],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith(str(tmp_path))


def test_every_program_that_a_template_runs_is_known_here() -> None:
    run: set[str] = set()
    for path in (ROOT / "templates").rglob("*"):
        if path.is_file():
            run |= set(re.findall(r"labctl-python [^\n]*-m (labctl[\w.]*)", path.read_text(errors="replace")))
    known = {module.removesuffix(".__main__") for modules in PROGRAMS.values() for module in modules}
    assert run == known


def test_no_other_image_holds_anything_of_labctl() -> None:
    for dockerfile in (ROOT / "images").glob("*/Dockerfile"):
        if dockerfile.parent.name not in PROGRAMS:
            assert INSTALLED not in dockerfile.read_text(), dockerfile
