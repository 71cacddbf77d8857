"""Drains a gateway: makes its route gate withdraw every announcement while packets still pass.

The route gate (docs/roles.md) announces to one side while the other is usable. A drain file beside the gate's
state file makes it announce nothing. The neighbours then use other paths, and packets still under way
are forwarded as before, because entries, routes and addresses stay.
"""

from __future__ import annotations

import os
import signal
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["Gate"]


@dataclass(frozen=True, slots=True)
class Gate:
    """The route gate of this node.

    Attributes:
        standing: the file that it says in how it stands.
    """

    standing: Path

    def drain(self, *, on: bool) -> bool:
        """Start or end draining; returns whether that changed anything."""
        mark = self.standing.with_name(f"{self.standing.name}.drain")
        if mark.exists() == on:
            return False
        if on:
            mark.touch()
        else:
            mark.unlink()
        self._wake()
        return True

    def _wake(self) -> None:
        try:
            number = int(self.standing.with_name(f"{self.standing.name}.pid").read_text())
            os.kill(number, signal.SIGHUP)
        except (OSError, ValueError):
            return  # it is not there yet, and will look when it is
