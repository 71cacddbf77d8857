"""Commands that need root, through the root helper of the settings, each counted and timed.

The measured cost of a command is its real cost: nothing waits in order to look slow.
"""

from __future__ import annotations

import contextlib
import subprocess
from dataclasses import dataclass, field
from importlib import import_module
from typing import TYPE_CHECKING, Any, Protocol

from labctl.errors import LabctlError
from labctl.nova.eventlog import EventLog, now_ns
from labctl.nova.settings import RootHelper

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

__all__ = ["CommandError", "Execute", "RootExecutor", "helper_argv", "program_of"]

ROOTWRAP = "/etc/nova/nova-rootwrap"
ROOTWRAP_DAEMON = "/etc/nova/nova-rootwrap-daemon"
ROOTWRAP_CONFIG = "/etc/nova/rootwrap.conf"

_PREFIX: dict[RootHelper, tuple[str, ...]] = {
    RootHelper.NONE: (),
    RootHelper.SUDO: ("sudo", "-n"),
    # As nova.conf of the time had it: root_helper = sudo nova-rootwrap /etc/nova/rootwrap.conf
    RootHelper.ROOTWRAP: ("sudo", "-n", ROOTWRAP, ROOTWRAP_CONFIG),
}


class CommandError(LabctlError):
    """A command that needs root failed."""


class Execute(Protocol):
    """Whatever runs commands as root."""

    def __call__(self, *argv: str, stdin: str = "", allowed: Sequence[int] = (0,), root: bool = True) -> str:
        """Run a command, as root unless told otherwise; returns its output.

        Raises:
            CommandError: its exit code is not among those allowed.
        """


def helper_argv(helper: RootHelper, argv: Sequence[str]) -> tuple[str, ...]:
    """The whole command line; a daemon's own is not known here."""
    return (*_PREFIX[helper], *argv)


@dataclass
class RootExecutor:
    """Runs commands, one after the other, and tells the log of each.

    Attributes:
        helper: see :class:`~labctl.nova.settings.RootHelper`.
        log: gets a ``command`` event each: ``program``, ``argv``, ``ns``, ``code``, ``network``; one that
            needs no root, ``command.unprivileged``.
        network: index of the network that is being built, -1 for none; goes into the events.
        count: commands run as root so far.
    """

    helper: RootHelper
    log: EventLog
    network: int = -1
    count: int = 0
    _daemon: Any = field(default=None, repr=False)

    def __call__(self, *argv: str, stdin: str = "", allowed: Sequence[int] = (0,), root: bool = True) -> str:
        """See :class:`Execute`."""
        begin = now_ns()
        code, out, error = self._through(argv, stdin) if root else _run(argv, stdin)
        took = now_ns() - begin
        self.count += root
        words = " ".join(argv[:8])
        self.log.tell(
            "command" if root else "command.unprivileged",
            t_ns=begin,
            program=program_of(argv),
            argv=words,
            network=self.network,
            ns=took,
            code=code,
        )
        if code not in allowed:
            raise CommandError(f"{' '.join(argv)} ended with {code}: {error.strip() or out.strip()}")
        return out

    def close(self) -> None:
        """End the root helper's daemon, if there is one."""
        if self._daemon is not None:
            with contextlib.suppress(Exception):
                self._daemon._shutdown()  # noqa: SLF001 - the client has no public way
            self._daemon = None

    @contextlib.contextmanager
    def for_network(self, index: int) -> Iterator[None]:
        """Commands inside are put down to this network."""
        self.network = index
        try:
            yield
        finally:
            self.network = -1

    def _through(self, argv: Sequence[str], stdin: str) -> tuple[int, str, str]:
        if self.helper is RootHelper.DAEMON:
            if self._daemon is None:
                client = import_module("oslo_rootwrap.client")
                self._daemon = client.Client(["sudo", "-n", ROOTWRAP_DAEMON, ROOTWRAP_CONFIG])
            code, out, error = self._daemon.execute(list(argv), stdin or None)
            return int(code), _text(out), _text(error)
        return _run(helper_argv(self.helper, argv), stdin)


def _run(argv: Sequence[str], stdin: str) -> tuple[int, str, str]:
    done = subprocess.run(argv, input=stdin, capture_output=True, text=True, check=False)
    return done.returncode, done.stdout, done.stderr


def program_of(argv: Sequence[str]) -> str:
    """What is run: after ``env`` and what it sets."""
    words = argv[1:] if argv[0] == "env" else argv
    return next((word for word in words if "=" not in word), argv[0])


def _text(value: str | bytes) -> str:
    return value.decode(errors="replace") if isinstance(value, bytes) else value
