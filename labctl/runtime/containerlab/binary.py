"""The containerlab program: where it is, its arguments, and the failures that its exit code hides.

This file relies on these facts about containerlab (v0.79): exit codes are 0 and 1 only; a node's ``exec``
that fails is logged and the exit code stays 0; errors of a destroy are only logged; a second deploy starts
every stopped node; SIGINT in a first deploy destroys the lab; a destroy with ``--cleanup`` that finds no
container removes the first ``clab-*`` folder beside the topology, even that of another lab.
"""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from labctl.errors import HostError

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["OWNER_VARIABLE", "Outcome", "Program", "find_program", "stop_running"]

OWNER_VARIABLE = "LABCTL_LAB_PATH"
"""In the environment of every containerlab that labctl starts: the folder of the lab it works for."""

_ANSI = re.compile(r"\x1b\[[0-9;]*m")
_ERROR_LINE = re.compile(r"^\S*\s*(?:ERRO|FATA|Error)\b[: ]*(?P<text>.*)$")
_EXEC_FAILED = "Failed to execute command"


@dataclass(frozen=True, slots=True)
class Outcome:
    """The result of one call of containerlab.

    Attributes:
        code: its exit code; negative for a signal.
        errors: its error lines, without colour and time.
        log: everything that it wrote to stderr.
    """

    code: int
    errors: tuple[str, ...]
    log: str

    @property
    def exec_failures(self) -> tuple[str, ...]:
        """Commands of the definition's ``exec`` that failed; the exit code does not show them."""
        return tuple(line for line in self.errors if _EXEC_FAILED in line)

    def summary(self) -> str:
        """The errors in one line, or the last line of output."""
        lines = self.errors or tuple(line for line in self.log.splitlines() if line.strip())[-1:]
        return "; ".join(lines) or f"exit code {self.code} without any output"


@dataclass(frozen=True, slots=True)
class Program:
    """A containerlab binary and the engine that it uses.

    Attributes:
        path: of the binary.
        engine_url: for DOCKER_HOST; empty for containerlab's own choice.
    """

    path: Path
    engine_url: str = ""

    def run(self, argv: list[str], owner: Path, timeout_s: float) -> Outcome:
        """Run it to its end.

        Args:
            argv: command and options.
            owner: folder of the lab; a later labctl finds the process by it (:func:`stop_running`).
            timeout_s: after so many seconds it is killed.

        Raises:
            HostError: it cannot be started at all.
        """
        env = os.environ | {"CLAB_VERSION_CHECK": "disable", OWNER_VARIABLE: str(owner), "NO_COLOR": "1"}
        if self.engine_url:
            env["DOCKER_HOST"] = self.engine_url
        try:
            # A session of its own: Ctrl-C is labctl's to handle, containerlab would destroy the lab.
            process = subprocess.Popen(
                [str(self.path), *argv],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.PIPE,
                env=env,
                start_new_session=True,
            )
        except OSError as error:
            raise HostError(f"{self.path} does not run: {error.strerror}") from error
        try:
            _, stderr = process.communicate(timeout=timeout_s)
        except subprocess.TimeoutExpired:
            stderr = _kill_session(process) + f"\nERRO killed after {timeout_s:.0f} s".encode()
        except BaseException:
            _kill_session(process)
            raise
        log = _ANSI.sub("", stderr.decode(errors="replace"))
        return Outcome(process.returncode, tuple(_error_lines(log)), log)


def _kill_session(process: subprocess.Popen[bytes]) -> bytes:
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    return process.communicate()[1] or b""


def _error_lines(log: str) -> Iterator[str]:
    """The error lines; an indented line below one belongs to it."""
    current = ""
    for line in log.splitlines():
        match = _ERROR_LINE.match(line)
        if match or not line.startswith((" ", "\t")):
            if current:
                yield current
            current = match["text"].strip() if match else ""
        elif current:
            current += " " + line.strip()
    if current:
        yield current


def find_program() -> Path | None:
    """The containerlab to use: ``$LABCTL_CONTAINERLAB``, else on PATH, else what the project built."""
    chosen = os.environ.get("LABCTL_CONTAINERLAB")
    if chosen:
        return Path(chosen) if os.access(chosen, os.X_OK) else None
    # A labctl that runs from a clone prefers the clone's own: on a kernel without module support only
    # that one starts (tools/ci/containerlab-up), and on any other it is the same program.
    built = Path(__file__).resolve().parents[3] / "build" / "bin" / "containerlab"
    if os.access(built, os.X_OK) and not Path("/proc/modules").exists():
        return built
    found = shutil.which("containerlab") or shutil.which(
        "containerlab", path=str(Path(sys.executable).parent)
    )
    if found:
        return Path(found)
    return built if os.access(built, os.X_OK) else None


def stop_running(owner: Path, wait_s: float = 5.0) -> int:
    """Kill every containerlab that a labctl, killed meanwhile, started for this lab.

    Args:
        owner: folder of the lab.
        wait_s: how long to wait for the processes to be gone.

    Returns:
        How many there were.
    """
    pids = list(_running(owner))
    for pid in pids:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    deadline = time.monotonic() + wait_s
    while time.monotonic() < deadline and any(True for _ in _running(owner)):
        time.sleep(0.01)
    return len(pids)


def _running(owner: Path) -> Iterator[int]:
    mark = f"{OWNER_VARIABLE}={owner}".encode()
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit() or int(entry.name) == os.getpid():
            continue
        with contextlib.suppress(OSError):
            if mark in (entry / "environ").read_bytes().split(b"\0"):
                yield int(entry.name)
