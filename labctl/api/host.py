"""What keeps a lab of a program: its state on this machine, the reservation, its end."""

from __future__ import annotations

import contextlib
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from labctl.errors import LabctlError
from labctl.lab.lifecycle import open_lab, take_down
from labctl.lab.reservation import changing, reserve

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from contextlib import AbstractContextManager

    from labctl.events import Listener
    from labctl.lab.reservation import ForcedChange
    from labctl.lab.state import LabDir

__all__ = ["LabHost", "LiveHost"]


class LabHost(Protocol):
    """The seam between a lab in a program and the machine that it runs on."""

    @property
    def runtime(self) -> str:
        """Name of the runtime."""

    def reserved(self, holder: str) -> AbstractContextManager[Callable[[], Sequence[ForcedChange]]]:
        """Keep others from changing the lab; gives what they did by force since the last call.

        Raises:
            LabBusyError: another run holds it.
        """

    def changing(self, action: str, target: str) -> AbstractContextManager[None]:
        """Change the lab while no run holds it.

        Raises:
            LabBusyError: a run does.
        """

    def about(self) -> dict[str, Any]:
        """For the journal: ``runtime``, ``definition``."""

    def log(self, node: str) -> str:
        """What a node has said since it last booted; why there is none where it cannot be had."""

    def take_down(self) -> None:
        """Take the lab down; repeating it is no error."""


class LiveHost:
    """Implements :class:`LabHost` for a lab on this machine."""

    def __init__(self, folder: LabDir, listen: Listener) -> None:
        """Of a lab that is up."""
        self._folder = folder
        self._listen = listen
        self._record = folder.record()

    @property
    def runtime(self) -> str:
        """See :class:`LabHost`."""
        return self._record.runtime

    @contextlib.contextmanager
    def reserved(self, holder: str) -> Iterator[Callable[[], Sequence[ForcedChange]]]:
        """See :class:`LabHost`."""
        held = reserve(self._folder, holder)
        try:
            yield held.changes
        finally:
            held.release()

    def changing(self, action: str, target: str) -> AbstractContextManager[None]:
        """See :class:`LabHost`."""
        return changing(self._folder, action, target)

    def about(self) -> dict[str, Any]:
        """See :class:`LabHost`."""
        definition = Path(self._record.definition).read_text(encoding="utf-8", errors="replace")
        return {"runtime": self.runtime, "already_running": True, "definition": definition}

    def log(self, node: str) -> str:
        """See :class:`LabHost`."""
        try:
            runtime, folder = open_lab(self._folder.name, self._folder.root)
            return runtime.logs(folder, node).decode(errors="replace")
        except (LabctlError, OSError) as error:
            return f"no log could be had: {error}"

    def take_down(self) -> None:
        """See :class:`LabHost`."""
        take_down(self._folder, self._listen)
