"""`make help` names every public target, and the targets of tests hand their ARGS on."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]
MAKEFILE = (ROOT / "Makefile").read_text()


def make(*words: str) -> str:
    done = subprocess.run(["make", *words], cwd=ROOT, capture_output=True, text=True, check=True)
    return done.stdout


def phony() -> list[str]:
    found = re.search(r"^\.PHONY:((?:.*\\\n)*.*)$", MAKEFILE, re.MULTILINE)
    assert found
    return found[1].replace("\\\n", " ").split()


def test_help_lists_every_public_target_with_one_line() -> None:
    lines = [line.split(maxsplit=2) for line in make("help").splitlines()]
    assert sorted(name for _, name, _ in lines) == sorted(phony())
    assert all(text for _, _, text in lines)


@pytest.mark.parametrize("target", ["unit", "netns", "containerlab", "contract", "e2e", "golden", "coverage"])
def test_arguments_reach_pytest(target: str) -> None:
    assert "-k 'one or two'" in make("--dry-run", target, "ARGS=-k 'one or two'")
