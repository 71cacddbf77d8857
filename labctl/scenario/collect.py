"""What programs in nodes wrote down of themselves, taken into the journal.

A file of JSON lines ``{"kind", "t_ns", "data"}`` with times of the one clock; each line becomes a
``node.event`` that bears its own time, and stands in the journal where it was collected.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from labctl.errors import LabctlError
from labctl.events import Event

if TYPE_CHECKING:
    from collections.abc import Sequence

    from labctl.events import Listener
    from labctl.scenario.backend import LabBackend
    from labctl.scenario.model import Collection

__all__ = ["Collector"]


@dataclass
class Collector:
    """Reads the files that a scenario names, and tells each line once.

    Attributes:
        backend: the lab.
        wanted: nodes and files.
        emit: gets ``node.event`` (``node``, ``kind``, ``data``) and ``collect.failed``.
    """

    backend: LabBackend
    wanted: Sequence[Collection]
    emit: Listener
    _seen: set[tuple[str, str]] = field(default_factory=set)

    def collect(self) -> None:
        """Tell what is new. A node without power, or without the file, is told of and passed over."""
        for one in self.wanted:
            try:
                text = self.backend.read(one.node, one.file).decode(errors="replace")
            except LabctlError as error:
                data = {"node": one.node, "file": one.file, "error": str(error)}
                self.emit(Event("collect.failed", self.backend.now_ns(), data))
                continue
            for line in text.splitlines():
                if (one.node, line) not in self._seen:
                    self._seen.add((one.node, line))
                    self._tell(one.node, line)

    def _tell(self, node: str, line: str) -> None:
        try:
            said = json.loads(line)
            event = Event(
                "node.event", int(said["t_ns"]), {"node": node, "kind": said["kind"], "data": said["data"]}
            )
        except (ValueError, KeyError, TypeError):
            return  # a line cut off by a kill, or no event
        self.emit(event)
