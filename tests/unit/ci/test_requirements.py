"""The pinned requirements are whole, hashed, and those of pyproject.toml."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
PIN = re.compile(r"^([A-Za-z0-9._-]+)==(\S+)", re.MULTILINE)


def canonical(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def pins(file: str) -> dict[str, set[str]]:
    found: dict[str, set[str]] = {}
    for name, version in PIN.findall((ROOT / file).read_text()):
        found.setdefault(canonical(name), set()).add(version)
    return found


def at_least(version: str, bound: str) -> bool:
    def numbers(text: str) -> list[int]:
        return [int(part) for part in re.findall(r"\d+", text)]

    return numbers(version) >= numbers(bound)


@pytest.mark.parametrize(
    ("file", "wanted"),
    [
        ("requirements.txt", PROJECT["dependencies"]),
        ("requirements-dev.txt", PROJECT["dependencies"] + PROJECT["optional-dependencies"]["dev"]),
        ("requirements.txt", ["setuptools>=77"]),
    ],
)
def test_what_the_project_depends_on_is_pinned_within_its_bounds(file: str, wanted: list[str]) -> None:
    pinned = pins(file)
    for requirement in wanted:
        name, _, bound = requirement.partition(">=")
        assert canonical(name) in pinned, f"{name}: run make lock"
        assert not bound or all(at_least(version, bound) for version in pinned[canonical(name)]), requirement


def test_the_development_set_holds_the_other_in_the_same_versions() -> None:
    development = pins("requirements-dev.txt")
    assert {name: development.get(name) for name in pins("requirements.txt")} == pins("requirements.txt")


@pytest.mark.parametrize("file", ["requirements.txt", "requirements-dev.txt", "tools/ci/requirements-go.txt"])
def test_every_pin_has_hashes_and_no_place_is_named(file: str) -> None:
    text = (ROOT / file).read_text()
    blocks = re.split(r"\n(?=[A-Za-z])", text.strip())
    assert blocks
    for block in blocks:
        assert PIN.match(block), block[:80]
        assert "--hash=sha256:" in block, block[:80]
    assert "://" not in text
    assert "--index" not in text
