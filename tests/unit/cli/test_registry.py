"""The registry against the commands themselves, and the time that --help takes."""

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


def test_help_answers_within_its_bound() -> None:
    # Processor time, the best of several: what is measured is the program, not who else runs here.
    # bench/help_time.py measures time on the wall.
    # Nor is it `make coverage`, which would measure in the child too.
    alone = {key: value for key, value in os.environ.items() if not key.startswith("COVERAGE_")}
    times = []
    for _ in range(5):
        child = subprocess.Popen(
            [sys.executable, "-m", "labctl", "--help"], stdout=subprocess.DEVNULL, env=alone
        )
        _, status, used = os.wait4(child.pid, 0)
        child.returncode = os.waitstatus_to_exitcode(status)
        assert child.returncode == 0
        times.append(used.ru_utime + used.ru_stime)
    assert min(times) < 0.2, times
