"""What another person needs to repeat a run: the machine, its kernel, the versions of everything."""

from __future__ import annotations

import os
import platform
import re
import subprocess
import time
from importlib import metadata
from pathlib import Path

from labctl.events import now_ns

__all__ = ["clocks", "machine", "versions"]


def machine() -> dict[str, str | int]:
    """Processor, memory, kernel and distribution of this machine."""
    return {
        "kernel": platform.release(),
        "architecture": platform.machine(),
        "cpus": len(os.sched_getaffinity(0)),
        "cpu": _first(Path("/proc/cpuinfo"), r"^model name\s*:\s*(.+)$"),
        "memory_mib": int(_first(Path("/proc/meminfo"), r"^MemTotal:\s*(\d+)") or 0) // 1024,
        "distribution": _first(Path("/etc/os-release"), r'^PRETTY_NAME="?([^"\n]+)'),
    }


def versions() -> dict[str, str]:
    """Versions of labctl and of what a lab is made of; empty where it is not there."""
    try:
        own = metadata.version("labctl-testbed")
    except metadata.PackageNotFoundError:
        own = ""
    return {
        "labctl": own,
        "python": platform.python_version(),
        "frr": _said(["/usr/lib/frr/bgpd", "--version"], r"version\s+(\S+)"),
        "iproute2": _said(["ip", "-Version"], r"iproute2-(\S+?),"),
    }


def clocks() -> dict[str, int]:
    """Both clocks, read together: monotonic for the lab, real time for people."""
    before = now_ns()
    real = time.time_ns()
    return {"monotonic_ns": (before + now_ns()) // 2, "realtime_ns": real}


def _first(path: Path, pattern: str) -> str:
    try:
        match = re.search(pattern, path.read_text(errors="replace"), re.MULTILINE)
    except OSError:
        return ""
    return match[1].strip() if match else ""


def _said(argv: list[str], pattern: str) -> str:
    try:
        done = subprocess.run(argv, capture_output=True, text=True, timeout=5, check=False)
    except (OSError, subprocess.SubprocessError):
        return ""
    match = re.search(pattern, done.stdout + done.stderr)
    return match[1] if match else ""
