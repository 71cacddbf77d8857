"""What the README shows can be typed as it stands."""

from __future__ import annotations

import re
import shlex
from pathlib import Path
from typing import Any

import pytest

from labctl.cli.app import build
from labctl.load import load_topology
from labctl.scenario.load import load_scenario

README = (Path(__file__).parents[3] / "README.md").read_text()
FILES = {
    match[1]: match[0] for match in re.findall(r"```yaml\n(# (\S+\.yml)\n.*?)```", README, flags=re.DOTALL)
}
COMMANDS = re.findall(r"^    (?:sudo )?labctl (.+?)(?:\s+#.*)?$", README, flags=re.MULTILINE)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name, text in FILES.items():
        (tmp_path / name).write_text(text)
    return tmp_path


def test_the_files_of_the_tour_are_sound(folder: Path) -> None:
    assert set(FILES) == {"two-paths.yml", "r2-dies.yml"}
    lab = load_topology(folder / "two-paths.yml")
    scenario, loaded = load_scenario(folder / "r2-dies.yml", ())
    assert scenario.name == "r2-dies"
    assert loaded.lab == lab


def test_the_address_that_the_tour_pings_is_that_of_the_far_host(folder: Path) -> None:
    address = load_topology(folder / "two-paths.yml").node("h2").loopback4
    assert address is not None
    assert f"ping -c 3 {address.ip}\n" in README


@pytest.mark.parametrize("line", COMMANDS)
def test_every_command_of_the_readme_is_one(line: str) -> None:
    group: Any = build()
    words = shlex.split(line)
    context = group.make_context("labctl", list(words))
    name, command, rest = group.resolve_command(context, list(words))
    while hasattr(command, "resolve_command"):
        inner = command.make_context(name, list(rest), parent=context)
        name, command, rest = command.resolve_command(inner, list(rest))
    # Parses options and arguments as a call would, and refuses what is not there; nothing runs.
    command.make_context(name, list(rest), parent=context)
