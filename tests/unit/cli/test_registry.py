"""The registry against the commands themselves, and what --help imports: that is where its time goes."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

import labctl.cli
from labctl.cli.app import load_command
from labctl.cli.registry import COMMANDS, SECTIONS

NOT_COMMANDS = {"app", "console", "effects", "params", "pick", "progress", "registry", "shield"}
HEAVY = ("rich", "pyroute2", "pydantic", "scapy", "docker", "numpy", "jinja2", "yaml", "kazoo", "pytest")


@pytest.mark.parametrize("name", COMMANDS)
def test_the_summary_is_the_first_line_of_the_commands_own_help(name: str) -> None:
    command = load_command(name)
    first = re.split(r"\n\s*\n", command.help.strip())[0]
    assert " ".join(first.split()) == COMMANDS[name].summary


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_has_a_known_section(name: str) -> None:
    assert COMMANDS[name].section in SECTIONS


@pytest.mark.parametrize("name", COMMANDS)
def test_every_parameter_of_every_command_is_explained(name: str) -> None:
    command = load_command(name)
    for one in [command, *getattr(command, "commands", {}).values()]:
        for param in one.params:
            assert getattr(param, "help", None), f"{name} {one.name}: {param.name}"


@pytest.mark.slow
@pytest.mark.parametrize("name", COMMANDS)
def test_loading_a_command_for_its_help_imports_nothing_heavy(name: str) -> None:
    code = (
        "import sys; from labctl.cli.app import load_command; load_command(sys.argv[1]);"
        f"print(*(heavy for heavy in {HEAVY} if heavy in sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", code, name], capture_output=True, text=True, check=True)
    assert done.stdout.split() == []


def test_no_file_of_the_room_is_forgotten() -> None:
    files = {path.stem for path in Path(labctl.cli.__file__).parent.glob("*.py")} - {"__init__"}
    helpers = {name for name in files if name.startswith("_")}
    assert files - NOT_COMMANDS - helpers >= {name.replace("-", "_") for name in COMMANDS}


def _imported(*words: str) -> set[str]:
    """Every module that a run of labctl imports."""
    command = [sys.executable, "-X", "importtime", "-m", "labctl", *words]
    # Not what `make coverage` would import in the child.
    alone = {key: value for key, value in os.environ.items() if not key.startswith("COVERAGE_")}
    done = subprocess.run(command, capture_output=True, text=True, check=True, env=alone)
    lines = (line for line in done.stderr.splitlines() if line.startswith("import time:"))
    found = {line.rpartition("|")[2].strip() for line in lines}
    assert "labctl.cli.app" in found  # or nothing was seen at all
    return found


@pytest.mark.parametrize("words", [("--help",), ("--version",)])
def test_help_and_version_import_no_command_and_nothing_heavy(words: tuple[str, ...]) -> None:
    found = _imported(*words)
    assert found & {*HEAVY} == set()
    assert {name for name in found if name.startswith("labctl.")} == {
        "labctl.cli",
        "labctl.cli.app",
        "labctl.cli.errors",
        "labctl.cli.registry",
        "labctl.errors",
        "labctl.signals",
    }


@pytest.mark.slow
@pytest.mark.parametrize("words", [("ls",), ("up", "--help"), ("doctor", "--help")])
def test_a_command_imports_nothing_heavy_but_what_typer_brings(words: tuple[str, ...]) -> None:
    found = _imported(*words)
    # typer reads every option by pydantic, from the release on that requirements.txt names.
    assert found & {*HEAVY} <= {"pydantic"}
    assert not [name for name in found if name.startswith("labctl.doctor.checks")]
