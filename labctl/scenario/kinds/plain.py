"""Kinds of actions that say nothing besides their targets: nodes, or links."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pydantic import Field, create_model

from labctl.document.entries import Entry
from labctl.scenario.kinds.action import Action, ActionKind, NoParams
from labctl.scenario.kinds.targets import LinkTargets, NodeTargets

if TYPE_CHECKING:
    from collections.abc import Callable

    from labctl.events import Listener
    from labctl.fault.types import Effect
    from labctl.lab.runtime import Runtime
    from labctl.lab.state import LabDir
    from labctl.scenario.kinds.action import LabInUse

__all__ = ["link_kind", "node_kind"]


def node_kind(
    name: str,
    doc: str,
    targets: str,
    act: Callable[[LabInUse, str, Listener], Effect],
    **traits: Any,  # noqa: ANN401 - fields of ActionKind
) -> ActionKind[NoParams]:
    """A kind whose targets are nodes.

    Args:
        name: the key in the timeline.
        doc: one line: what it does.
        targets: what the nodes are, for the JSON Schema.
        act: does it to one node.
        traits: further fields of :class:`~labctl.scenario.kinds.action.ActionKind`.
    """

    def read(entry: Any) -> tuple[Action[NoParams], ...]:  # noqa: ANN401 - of the model made here
        return tuple(Action(kind, (node,)) for node in entry.targets)

    def done(lab: LabInUse, action: Action[NoParams], listen: Listener) -> Effect:
        return act(lab, action.target[0], listen)

    entry = _entry(name, NodeTargets, targets)
    kind: ActionKind[NoParams] = ActionKind(name, doc, f"{{{name}: gw1}}", entry, read, done, **traits)
    return kind


def link_kind(
    name: str,
    doc: str,
    targets: str,
    act: Callable[[Runtime, LabDir, str, str, Listener], Effect],
    **traits: Any,  # noqa: ANN401 - fields of ActionKind
) -> ActionKind[NoParams]:
    """A kind whose targets are links; the arguments as of :func:`node_kind`, ``act`` with both ends."""

    def read(entry: Any) -> tuple[Action[NoParams], ...]:  # noqa: ANN401 - of the model made here
        return tuple(Action(kind, link) for link in entry.targets)

    def done(lab: LabInUse, action: Action[NoParams], listen: Listener) -> Effect:
        a, b = action.target
        return act(lab.runtime, lab.folder, a, b, listen)

    kind: ActionKind[NoParams] = ActionKind(
        name,
        doc,
        f"{{{name}: [r1, gw1]}}",
        _entry(name, LinkTargets, targets),
        read,
        done,
        on_link=True,
        **traits,
    )
    return kind


def _entry(name: str, targets: Any, about: str) -> type[Entry]:  # noqa: ANN401 - an annotated type
    field: Any = (targets, Field(alias=name, description=about))
    return create_model(name, __base__=Entry, __doc__=f"``{name}`` as a user writes it.", targets=field)
