"""``command``: a command in a node ends as expected."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, ClassVar

from pydantic import Field

from labctl.scenario.kinds.condition import ConditionKind, Measured, Polled, PolledEntry, polled
from labctl.scenario.kinds.node_command import NodeCommand, NodeCommandEntry

if TYPE_CHECKING:
    from collections.abc import Iterator

    from labctl.scenario.backend import LabBackend

__all__ = ["KIND", "CommandSucceeds"]

_TIMEOUT_S = 5.0


class CommandConditionEntry(PolledEntry):
    """``command`` as a user writes it."""

    command: Annotated[NodeCommandEntry, Field(description="run in a node, and what is expected of it")]


@dataclass(frozen=True, slots=True)
class CommandSucceeds(Polled):
    """A command in a node ends as expected; one that takes longer than 5 s does not."""

    kind: ClassVar[str] = "command"

    node: str
    command: NodeCommand

    def poll(self, backend: LabBackend) -> Measured:
        """Run it once."""
        fault = self.command.fault(backend.execute(self.node, self.command.argv, _TIMEOUT_S))
        return Measured(met=not fault, values={"missing": {self.node: fault}} if fault else {})

    def nodes(self) -> Iterator[tuple[tuple[str | int, ...], str]]:
        """Where it is run."""
        yield ("command", "node"), self.node

    def words(self) -> str:
        """As a shell shows it."""
        return f"{self.node}: {self.command}"

    __str__ = Polled.__str__


def _read(entry: CommandConditionEntry) -> CommandSucceeds:
    return CommandSucceeds(*polled(entry), entry.command.node, NodeCommand.of(entry.command))


KIND = ConditionKind(
    name="command",
    doc="a command in the node ends with `exit` (0), its output holds `stdout`, and `json` says what "
    "a value of it is (`{path: a.b.0, equals: x}`, `at-least`, `at-most`)",
    example="{command: {node: gw1, run: ip route get 10.0.0.1}, within: 10s}",
    entry=CommandConditionEntry,
    read=_read,
)
