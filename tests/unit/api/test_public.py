"""The public names: imported when they are used, and each one documented."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

import labctl

ROOT = Path(__file__).parents[3]


def test_importing_labctl_imports_nothing_else_of_it() -> None:
    code = "import sys, labctl; print([name for name in sys.modules if name.startswith('labctl.')])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT)
    assert done.stdout.strip() == "[]"


@pytest.mark.slow
def test_the_help_imports_nothing_of_the_api() -> None:
    code = (
        "import sys; sys.argv = ['labctl', '--help']\nfrom labctl.cli import main\n"
        "try: main()\nexcept SystemExit: pass\n"
        "heavy = ('labctl.api', 'labctl.scenario', 'numpy', 'pydantic')\n"
        "print([name for name in sys.modules if name.startswith(heavy)])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT)
    assert done.stdout.strip().splitlines()[-1] == "[]"


def test_every_public_name_is_there() -> None:
    for name in labctl.__all__:
        assert getattr(labctl, name) is not None
    assert set(labctl.__all__) <= set(dir(labctl))
    with pytest.raises(AttributeError, match="no attribute 'Lob'"):
        _ = labctl.Lob  # type: ignore[attr-defined]


def test_type_checkers_are_told_the_same_names() -> None:
    told = set(
        re.findall(
            r"^from labctl\.api import (\w+) as \1\b",
            (ROOT / "labctl/__init__.pyi").read_text(),
            re.MULTILINE,
        )
    )
    assert told == set(labctl.__all__) - {"__version__"}


def test_the_page_documents_every_public_name_and_no_other() -> None:
    page = (ROOT / "docs/api.md").read_text()
    named = set(re.findall(r"^### `labctl\.(\w+)", page, re.MULTILINE))
    assert named == set(labctl.__all__) - {"__version__"}


@pytest.mark.parametrize("name", ["Lab", "Traffic", "Fault", "Node", "Result", "Comparison"])
def test_the_page_documents_every_method_of_a_class(name: str) -> None:
    page = (ROOT / "docs/api.md").read_text()
    section = page.partition(f"### `labctl.{name}")[2].partition("\n### ")[0]
    public = {one for one in vars(getattr(labctl, name)) if not one.startswith("_")}
    missing = {one for one in public if not re.search(rf"`[^`]*\b{one}\b", section)}
    assert missing == set()
