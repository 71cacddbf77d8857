"""``bgp``: the BGP sessions of an FRR node are in a state."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, ClassVar

from pydantic import Field

from labctl.document.entries import Entry, Name
from labctl.scenario.kinds.condition import ConditionKind, Measured, Polled, PolledEntry, polled
from labctl.scenario.kinds.frr import peers_of

if TYPE_CHECKING:
    from collections.abc import Iterator

    from labctl.scenario.backend import LabBackend

__all__ = ["KIND", "BgpState"]


class WantedBgp(Entry):
    """A BGP session, or all of a node."""

    node: Name
    peer: Annotated[
        str | None,
        Field(min_length=1, max_length=63, description="its host name, interface or address; else all"),
    ] = None
    state: Annotated[
        str | None, Field(pattern=r"^[A-Z][A-Za-z]+$", description="as FRR calls it; Established")
    ] = None
    prefixes: Annotated[int | None, Field(ge=0, description="at least so many received")] = None


class BgpEntry(PolledEntry):
    """``bgp`` as a user writes it."""

    bgp: Annotated[WantedBgp, Field(description="a BGP session, or all of a node")]


@dataclass(frozen=True, slots=True)
class BgpState(Polled):
    """The BGP sessions of an FRR node are in a state; there must be one at least.

    Attributes:
        node: whose sessions.
        peer: host name, interface or address; empty for all.
        state: as FRR calls it.
        prefixes: at least so many received, over all address families.
    """

    kind: ClassVar[str] = "bgp"

    node: str
    peer: str
    state: str
    prefixes: int

    def poll(self, backend: LabBackend) -> Measured:
        """Ask the node's FRR once."""
        known = peers_of(backend, self.node)
        chosen = [one for one in known if self.peer in ("", one.name, one.host)]
        if not chosen:
            named = f"no BGP peer {self.peer}" if self.peer else "no BGP peer"
            return Measured(met=False, values={"missing": {self.node: named}})
        wrong = [f"{one.label} is {one.state}" for one in chosen if one.state != self.state]
        few = [f"{one.label}: {one.prefixes} prefixes" for one in chosen if one.prefixes < self.prefixes]
        if wrong or few:
            return Measured(met=False, values={"missing": {self.node: ", ".join([*wrong, *few])}})
        return Measured(met=True, values={"peers": [one.label for one in chosen]})

    def nodes(self) -> Iterator[tuple[tuple[str | int, ...], str]]:
        """Whose sessions."""
        yield ("bgp", "node"), self.node

    def words(self) -> str:
        """As people say it."""
        prefixes = f" with {self.prefixes} prefixes" if self.prefixes else ""
        return f"{self.node} with {self.peer or 'every peer'} {self.state}{prefixes}"

    __str__ = Polled.__str__


def _read(entry: BgpEntry) -> BgpState:
    wanted = entry.bgp
    state = wanted.state or "Established"
    return BgpState(*polled(entry), wanted.node, wanted.peer or "", state, wanted.prefixes or 0)


KIND = ConditionKind(
    name="bgp",
    doc="the BGP session of an FRR node with `peer` (host name, interface or address), or each one of"
    " the node, is `state` (`Established`), with `prefixes: N` at least so many received",
    example="{bgp: {node: r1, peer: gw1, prefixes: 1}, within: 10s}",
    entry=BgpEntry,
    read=_read,
)
