"""A gateway that is to be drained: its gate is told to announce nothing, while packets still pass.

The gate (docs/roles.md) announces to one side while the other is whole. A file beside its own says
that nothing is to be announced; the neighbours then go other ways, and whatever is still under way
is passed on as before, since entries, routes and addresses stay.
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
    """The gate of this node.

    Attributes:
        standing: the file that it says in how it stands.
    """

    standing: Path

    def drain(self, *, on: bool) -> bool:
        """Announce nothing from now on, or as the gate sees fit again; whether that was news."""
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
