"""Counts packets that this machine's kernel dropped between two interfaces because a backlog was full."""

from __future__ import annotations

from pathlib import Path

__all__ = ["backlog_dropped", "parse"]

_STAT = Path("/proc/net/softnet_stat")


def parse(text: str) -> int:
    """The drops of all processors: the second column, hexadecimal, of ``softnet_stat``."""
    return sum(int(line.split()[1], 16) for line in text.splitlines() if line)


def backlog_dropped() -> int:
    """Since the machine started, for all network namespaces together; 0 where it cannot be read."""
    try:
        return parse(_STAT.read_text())
    except OSError:
        return 0
