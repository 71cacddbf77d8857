"""A state database in memory: enforces every rule of the model, connects to nothing."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeVar

from labctl.errors import ActionError
from labctl.overlay.client.database import Overlay
from labctl.overlay.config.state import Edit, State

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from labctl.overlay.config.model import Item

__all__ = ["FakeStateDatabase", "fake_overlay"]

_Result = TypeVar("_Result")


class FakeStateDatabase:
    """See :class:`labctl.overlay.client.database.StateDatabase`.

    Attributes:
        sessions: hosts whose agents are in touch.
        down: whether it answers nobody.
        transactions: how many changed something.
    """

    def __init__(self, items: Iterable[Item] = (), sessions: Iterable[str] = ()) -> None:
        edit = Edit(State())
        edit.put(*items)
        self._state = State(1, edit.next_key, edit.checked())
        self.sessions = tuple(sorted(sessions))
        self.down = False
        self.transactions = 0

    def state(self) -> State:
        """Every item."""
        self._need_up()
        return self._state

    def alive(self) -> tuple[str, ...]:
        """See :attr:`sessions`."""
        self._need_up()
        return self.sessions

    def change(self, edit: Callable[[Edit], _Result]) -> _Result:
        """Make a change; like the real one it calls ``edit`` anew when another writer came first."""
        self._need_up()
        edit(Edit(self._state))  # what another writer's commit made void
        draft = Edit(self._state)
        result = edit(draft)
        self._state = State(self._state.revision + 1, draft.next_key, draft.checked())
        self.transactions += 1
        return result

    def _need_up(self) -> None:
        if self.down:
            raise ActionError("the state database does not answer")


class _Addressed:
    """Says of each VM whether it has its addresses."""

    def __init__(self, late: Iterable[str]) -> None:
        self._late = frozenset(late)

    def has_addresses(self, name: str, host: str) -> bool:  # noqa: ARG002 - the seam's
        """Whether it is none of those that are late."""
        return name not in self._late


def fake_overlay(
    database: FakeStateDatabase, plan: Mapping[str, Any] | None = None, late: Iterable[str] = ()
) -> Overlay:
    """An overlay over a fake database.

    Args:
        database: holds what there should be.
        plan: what the lab was planned with.
        late: VMs that never get their addresses.
    """
    return Overlay({"section": {}, "hosts": [], **(plan or {})}, database, lambda: _Addressed(late))
