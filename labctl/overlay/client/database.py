"""Connects this machine to the state database of a running lab.

No port of a lab is open on this machine, so a thread inside the network namespace of a controller makes every
read and every change. Operations (tenants, rules, gateways, ...) use :class:`StateDatabase` alone, which
tests replace.
"""

from __future__ import annotations

import threading
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

from labctl.errors import ActionError
from labctl.lab.runtime import NodeStatus
from labctl.linux.netns import inside
from labctl.overlay.client.agents import Agents, overlay_plan_of

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path

    from labctl.lab.runtime import Runtime
    from labctl.lab.state import LabDir
    from labctl.overlay.client.agents import GuestAddresses
    from labctl.overlay.config.state import Edit, State
    from labctl.overlay.store.nsdb import Database

__all__ = ["ControllerDatabase", "Overlay", "StateDatabase", "open_overlay"]

DEADLINE_S = 60.0
"""No read or change takes longer, whatever the controllers do."""
PATIENCE_S = 15.0
_SESSION_S = 2.0

_Result = TypeVar("_Result")


class StateDatabase(Protocol):
    """What operations need of the state database."""

    def state(self) -> State:
        """Every item, as it is now.

        Raises:
            ActionError: the database does not answer.
        """

    def alive(self) -> tuple[str, ...]:
        """Names of the hosts whose agents have a session, in order.

        Raises:
            ActionError: the database does not answer.
        """

    def change(self, edit: Callable[[Edit], _Result]) -> _Result:
        """Make a change in one transaction; ``edit`` may be called again if another writer came first.

        Raises:
            InputError: the change breaks a rule; nothing was written.
            ActionError: the database does not answer.
        """


@dataclass(frozen=True, slots=True)
class Overlay:
    """The overlay of a running lab, as its operator reaches it.

    Attributes:
        plan: what the lab was planned with: ``section``, ``hosts``, ``vms``, ``controllers``, ``servers``.
        database: holds what there should be.
        agents: looks which agents run now, to ask them for VMs' addresses.
    """

    plan: Mapping[str, Any]
    database: StateDatabase
    agents: Callable[[], GuestAddresses]


def open_overlay(runtime: Runtime, lab: LabDir) -> Overlay:
    """The overlay of a running lab; nothing is connected to yet.

    Raises:
        ActionError: the lab has no overlay.
    """
    plan = overlay_plan_of(lab)
    if not plan.get("controllers"):
        raise ActionError(f"lab {lab.name} has no overlay: no node of it is a controller")
    return Overlay(plan, ControllerDatabase(runtime, lab, plan), lambda: Agents(runtime, lab))


class _Cancelled(Exception):  # noqa: N818 - seen by no caller: whoever cancelled has gone
    """The caller gave up before the connection was made."""


@dataclass(slots=True)
class _Connection:
    """One session with the ensemble, which the thread that waits for it may end.

    Attributes:
        servers: ``address:port``, in the order in which they are tried.
        patience_s: for all of them together.
    """

    servers: Sequence[str]
    patience_s: float
    _cancelled: threading.Event = field(default_factory=threading.Event)
    _stop: Callable[[], None] | None = None

    def run(self, work: Callable[[Database], _Result]) -> _Result:
        """Connect, work, disconnect. Call it inside the controller's network namespace.

        The client's threads are made here, so their sockets are the namespace's.

        Raises:
            ActionError: no controller answers.
        """
        from labctl.overlay.store.nsdb import Database  # noqa: PLC0415 - kazoo costs what most runs never need
        from labctl.overlay.store.session import connect  # noqa: PLC0415

        client = connect(self.servers, session_s=_SESSION_S, patience_s=self.patience_s, in_order=True)
        self._stop = client.stop
        try:
            if self._cancelled.is_set():
                raise _Cancelled
            return work(Database(client))
        finally:
            client.stop()
            client.close()

    def cancel(self) -> None:
        """End the session: what is not written by now is never written. Returns at once."""
        self._cancelled.set()
        if self._stop is not None:
            # The library waits up to 10 s for its own threads; nobody has to wait for that.
            threading.Thread(target=self._stop, name="labctl-overlay-stop", daemon=True).start()


@dataclass(frozen=True, slots=True)
class ControllerDatabase:
    """The state database, reached through whichever controller runs; a session a call.

    Attributes:
        runtime: that runs the lab.
        lab: its state.
        plan: see :class:`Overlay`.
        deadline_s: for one call.
        patience_s: to connect, and for each command while the connection is lost.
    """

    runtime: Runtime
    lab: LabDir
    plan: Mapping[str, Any]
    deadline_s: float = DEADLINE_S
    patience_s: float = PATIENCE_S

    def state(self) -> State:
        """See :class:`StateDatabase`."""
        return self._run(lambda database: database.state())

    def alive(self) -> tuple[str, ...]:
        """See :class:`StateDatabase`."""
        return self._run(lambda database: database.alive())

    def change(self, edit: Callable[[Edit], _Result]) -> _Result:
        """See :class:`StateDatabase`."""
        return self._run(lambda database: database.change(edit))

    def _run(self, work: Callable[[Database], _Result]) -> _Result:
        netns, number = self._controller()
        servers = self.plan["servers"]
        # Its own server first; one that has lost its power would cost a session's time.
        connection = _Connection([*servers[number:], *servers[:number]], self.patience_s)
        try:
            return inside(
                netns, lambda: connection.run(work), timeout_s=self.deadline_s, cancel=connection.cancel
            )
        except TimeoutError:
            raise ActionError(f"the state database did not answer within {self.deadline_s:g} s") from None

    def _controller(self) -> tuple[Path, int]:
        """The network namespace of the first controller that runs, and its number."""
        names = self.plan["controllers"]
        states = self.runtime.states(self.lab)
        for number, name in enumerate(names):
            if name in states and states[name].status is NodeStatus.RUNNING:
                return self.runtime.netns(self.lab, name), number
        raise ActionError(f"no controller of lab {self.lab.name} is running: {', '.join(names)}")
