"""Everything that the state database holds, as documents; and a change to it, made in memory first.

Documents are what is read and written as one piece: one a tenant (:func:`tenant_document`), and
:data:`COMMON` for what belongs to no tenant. So an environment comes, changes and goes by one
small document, whatever the number of others.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from difflib import get_close_matches
from typing import TYPE_CHECKING, Any, TypeVar

from labctl.errors import InputError, Problem
from labctl.overlay.config.check import breaches
from labctl.overlay.config.codec import kind_of
from labctl.overlay.config.model import (
    KINDS,
    Group,
    Item,
    Network,
    Router,
    RouterPort,
    Rule,
    Subnet,
    Tenant,
    Uplink,
    VmPort,
)

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

__all__ = ["COMMON", "Edit", "State", "by_document", "tenant_document"]

COMMON = "common"
_Kind = TypeVar("_Kind")


def tenant_document(tenant: str) -> str:
    """Name of a tenant's document."""
    return f"tenant.{tenant}"


@dataclass(frozen=True, slots=True)
class State:
    """All items at one moment.

    Attributes:
        revision: counts the changes.
        next_key: the lowest key that no port has ever had.
        documents: the items of each document.
    """

    revision: int = 0
    next_key: int = 1
    documents: Mapping[str, tuple[Item, ...]] = field(default_factory=dict)

    def items(self) -> Iterator[Item]:
        """All of them."""
        for items in self.documents.values():
            yield from items


class Edit:
    """A change in the making: items are put and removed, then the whole is checked.

    Attributes:
        next_key: the lowest key that is not taken.
    """

    def __init__(self, state: State) -> None:
        self.next_key = state.next_key
        self._items: dict[type[Any], dict[str, Item]] = {kind: {} for kind in KINDS.values()}
        for item in state.items():
            self._items[type(item)][item.name] = item
            self._see_key(item)

    def items(self) -> Iterator[Item]:
        """Everything as it is to be."""
        for known in self._items.values():
            yield from known.values()

    def all(self, kind: type[_Kind]) -> list[_Kind]:
        """All items of a class, in order of name."""
        known = self._items.get(kind, {})
        return [item for _, item in sorted(known.items()) if isinstance(item, kind)]

    def get(self, kind: type[_Kind], name: str) -> _Kind:
        """An item.

        Raises:
            InputError: there is none of that name.
        """
        known = self._items.get(kind, {})
        item = known.get(name)
        if isinstance(item, kind):
            return item
        word = next(word for word, there in KINDS.items() if there is kind)
        near = get_close_matches(name, known, 1)
        hint = f"did you mean {near[0]!r}?" if near else ""
        raise InputError([Problem("overlay", 0, 0, f"there is no {word} {name!r}", hint)])

    def has(self, kind: type[Item], name: str) -> bool:
        """Whether there is such an item."""
        return name in self._items[kind]

    def put(self, *items: Item) -> None:
        """Add items, or replace those of the same class and name."""
        for item in items:
            self._items[type(item)][item.name] = item
            self._see_key(item)

    def add(self, *items: Item) -> None:
        """Add items that are new.

        Raises:
            InputError: one of them is there already.
        """
        there = [item for item in items if self.has(type(item), item.name)]
        if there:
            raise InputError(
                Problem("overlay", 0, 0, f"{kind_of(item)} {item.name!r} is there already") for item in there
            )
        self.put(*items)

    def remove(self, kind: type[Item], name: str) -> None:
        """Take an item away; nothing happens if it is not there."""
        self._items[kind].pop(name, None)

    def remove_tenant(self, tenant: str) -> None:
        """Take a tenant away with all that it owns.

        Raises:
            InputError: there is no such tenant.
        """
        self.get(Tenant, tenant)
        for item in by_document(self.items()).get(tenant_document(tenant), ()):
            self.remove(type(item), item.name)

    def take_key(self) -> int:
        """A key that no port has had before."""
        self.next_key += 1
        return self.next_key - 1

    def _see_key(self, item: Item) -> None:
        if isinstance(item, VmPort | Uplink):
            self.next_key = max(self.next_key, item.key + 1)

    def checked(self) -> dict[str, tuple[Item, ...]]:
        """The documents as they are to be.

        Raises:
            InputError: they break a rule of :mod:`labctl.overlay.config.check`.
        """
        found = breaches(self.items())
        if found:
            raise InputError(Problem("overlay", 0, 0, str(breach)) for breach in found)
        return by_document(self.items())


def by_document(items: Iterable[Item]) -> dict[str, tuple[Item, ...]]:
    """Sort items into the documents that hold them; what refers nowhere goes to the common one."""
    everything = list(items)
    owner = {(type(item), item.name): _owner(item) for item in everything}
    found: dict[str, list[Item]] = {}
    for item in everything:
        ref: tuple[type[Item], str] | None = (type(item), item.name)
        # Item to network or group to tenant: never more than three steps.
        while ref is not None and ref[0] is not Tenant:
            ref = owner.get(ref)
        found.setdefault(tenant_document(ref[1]) if ref is not None else COMMON, []).append(item)
    return {name: tuple(members) for name, members in found.items()}


def _owner(item: Item) -> tuple[type[Item], str] | None:
    ref: tuple[type[Item], str] | None = None
    match item:
        case Network() | Group():
            ref = (Tenant, item.tenant)
        case Router() if item.tenant:
            ref = (Tenant, item.tenant)
        case Subnet() | RouterPort() | VmPort():
            ref = (Network, item.network)
        case Rule():
            ref = (Group, item.group)
    return ref
