"""Faults of one link: cut (both ends lose carrier), black hole (carrier stays), and restore.

:mod:`labctl.fault.linkstate` says what each end of a cut link sees.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from labctl.errors import ActionError
from labctl.events import now_ns
from labctl.fault import blackhole
from labctl.fault.effects import effect_of
from labctl.fault.ends import known_node, label, link_between, own_ends, place
from labctl.fault.linkstate import CUT, set_end_down, set_ends_up
from labctl.fault.registry import Fault, clear, faults, in_force, lock_nodes, record
from labctl.fault.watch import CarrierWatch

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from pathlib import Path

    from labctl.events import Listener
    from labctl.fault.types import CarrierChange, Effect
    from labctl.lab.runtime import Runtime
    from labctl.lab.state import LabDir
    from labctl.model.lab import Endpoint, LinkPlan

__all__ = [
    "BLACKHOLE",
    "CUT",
    "NODE_BLACKHOLE",
    "blackhole_link",
    "blackhole_node",
    "close_again",
    "cut_link",
    "restore_link",
    "restore_node",
]

BLACKHOLE = "link-blackhole"
NODE_BLACKHOLE = "node-blackhole"
"""What these faults are called in the registry."""

_SEEN_S = 2.0


def cut_link(runtime: Runtime, lab: LabDir, a: str, b: str, listen: Listener) -> Effect:
    """Cut a link; repeating it is no error.

    Args:
        runtime: that runs the lab.
        lab: the lab.
        a: a node, or ``node:interface``.
        b: the node at the other end, in the same way.
        listen: gets nothing here; for the sake of one form for all faults.

    Returns:
        What both ends saw. ``detail``: ``held``: the end that is administratively down;
        ``unseen``: ends that did not tell in time; ``already`` if it was cut before.

    Raises:
        ActionError: no such link; or neither end lost carrier.
    """
    del listen
    requested = now_ns()
    link = link_between(lab, a, b)
    with lock_nodes(lab, (link.a.node, link.b.node)):
        before = in_force(lab, CUT, label(link))
        with CarrierWatch(_running_ends(runtime, lab, link), carrier=False) as watch:
            down = set_end_down(runtime, lab, link)
            seen = watch.wait(_SEEN_S)
        effect = effect_of(CUT, label(link), requested, seen)
        # Not when the registry was written: that takes longer than the cut itself.
        effect.detail["not_before_ns"], effect.detail["pull_ns"] = down.sent_ns, down.pull_ns
        effect.detail["held"] = str(down.end)
        if before:
            effect.detail["already"] = True
        if seen and not any(change.t_ns for change in seen):
            raise ActionError(f"cut of {label(link)} had no effect: no end lost carrier in {_SEEN_S:g} s")
        return effect


def restore_link(runtime: Runtime, lab: LabDir, a: str, b: str, listen: Listener) -> Effect:
    """Restore a link that was cut or made a black hole; repeating it is no error.

    Returns:
        What both ends saw. ``detail``: ``already`` if neither fault was in force.

    Raises:
        ActionError: no such link.
    """
    del listen
    requested = now_ns()
    link = link_between(lab, a, b)
    name = label(link)
    with lock_nodes(lab, (link.a.node, link.b.node)):
        was_hole, was_cut = in_force(lab, BLACKHOLE, name), in_force(lab, CUT, name)
        if was_hole:
            # An end on a node that is a black hole itself stays one.
            _open_ends(runtime, lab, link.ends, (BLACKHOLE, name))
            clear(lab, BLACKHOLE, name)
        seen: tuple[CarrierChange, ...] = ()
        if was_cut:
            ends = _running_ends(runtime, lab, link)
            # While one of the nodes has no power there is nobody to give carrier to the other.
            with CarrierWatch(ends if len(ends) == 2 else [], carrier=True) as watch:  # noqa: PLR2004
                set_ends_up(runtime, lab, link)
                seen = watch.wait(_SEEN_S)
            clear(lab, CUT, name)
        effect = effect_of("link-restore", name, requested, seen)
        if not was_hole and not was_cut:
            effect.detail["already"] = True
        return effect


def blackhole_link(
    runtime: Runtime, lab: LabDir, a: str, b: str, listen: Listener, *, sent_by: str = ""
) -> Effect:
    """Drop every packet on a link while carrier stays; repeating it is no error.

    Args:
        runtime: that runs the lab.
        lab: the lab.
        a: a node, or ``node:interface``.
        b: the node at the other end, in the same way.
        listen: gets nothing here; for the sake of one form for all faults.
        sent_by: one of the two nodes: only what it sends is dropped; in both directions if empty.

    Returns:
        What it did. ``detail``: ``ends``: how many ends drop; ``sent_by``; ``already`` if it was so before.

    Raises:
        ActionError: no such link, or the kernel would not drop.
    """
    del listen
    requested = now_ns()
    link = link_between(lab, a, b)
    if sent_by and sent_by not in (link.a.node, link.b.node):
        raise ActionError(f"{sent_by} is no end of the link {label(link)}")
    with lock_nodes(lab, (link.a.node, link.b.node)):
        detail = {"ends": _ends_of(link)} | ({"sent_by": sent_by} if sent_by else {})
        effect = _close_ends(runtime, lab, Fault(BLACKHOLE, label(link), detail), link.ends, requested)
        if sent_by:
            effect.detail["sent_by"] = sent_by
        return effect


def blackhole_node(runtime: Runtime, lab: LabDir, node: str, listen: Listener) -> Effect:
    """Drop every packet on all links of a node in both directions while carrier stays.

    Raises:
        ActionError: no such node, it is off, or the kernel would not drop.
    """
    del listen
    requested = now_ns()
    ends = own_ends(known_node(lab, node), node)
    with lock_nodes(lab, [node]):
        runtime.netns(lab, node)  # an ActionError if it is off
        return _close_ends(runtime, lab, Fault(NODE_BLACKHOLE, node), ends, requested)


def restore_node(runtime: Runtime, lab: LabDir, node: str, listen: Listener) -> Effect:
    """End the black hole of a node; repeating it is no error.

    Raises:
        ActionError: no such node.
    """
    del listen
    requested = now_ns()
    ends = own_ends(known_node(lab, node), node)
    with lock_nodes(lab, [node]):
        was = in_force(lab, NODE_BLACKHOLE, node)
        if was:
            _open_ends(runtime, lab, ends, (NODE_BLACKHOLE, node))
            clear(lab, NODE_BLACKHOLE, node)
        effect = effect_of("node-restore", node, requested)
        if not was:
            effect.detail["already"] = True
        return effect


def _close_ends(
    runtime: Runtime, lab: LabDir, fault: Fault, ends: tuple[Endpoint, ...], requested: int
) -> Effect:
    already = in_force(lab, fault.action, fault.target)
    record(lab, fault)
    closed = _close(runtime, lab, {end: _drops(lab, end) for end in ends})
    if already:
        # It may have been one in another direction.
        _open(runtime, lab, [end for end in ends if not _drops(lab, end)])
    if not closed:
        clear(lab, fault.action, fault.target)
        raise ActionError(
            f"{fault.action} of {fault.target}: neither end has power, there is nothing to lose"
        )
    effect = effect_of(fault.action, fault.target, requested)
    effect.detail["ends"] = closed
    if already:
        effect.detail["already"] = True
    return effect


def close_again(lab: LabDir, netns: Path, ends: Iterable[Endpoint]) -> None:
    """Apply the registry's black holes to ends again after their node got a fresh namespace.

    Args:
        lab: the lab.
        netns: where the ends are now.
        ends: all of one node.

    Raises:
        ActionError: the kernel would not drop.
    """
    for end in ends:
        if hooks := _drops(lab, end):
            blackhole.close(netns, end.interface, hooks=hooks)


def _open_ends(runtime: Runtime, lab: LabDir, ends: Iterable[Endpoint], without: tuple[str, str]) -> None:
    """Let these ends drop no more than the black holes in force say besides the one that ends."""
    left = {end: _drops(lab, end, without) for end in ends}
    _open(runtime, lab, [end for end, hooks in left.items() if not hooks])
    _close(runtime, lab, left)


def _open(runtime: Runtime, lab: LabDir, ends: Iterable[Endpoint]) -> None:
    for where, names in _by_place(runtime, lab, ends).items():
        blackhole.open_again(where, *names)


def _by_place(runtime: Runtime, lab: LabDir, ends: Iterable[Endpoint]) -> dict[Path, list[str]]:
    """Interfaces by the namespace that they are in: all that are in one change at one moment."""
    found: dict[Path, list[str]] = {}
    for end in ends:
        where = place(runtime, lab, end.node)
        if where is not None:
            found.setdefault(where, []).append(end.interface)
    return found


def _close(runtime: Runtime, lab: LabDir, drops: Mapping[Endpoint, tuple[str, ...]]) -> int:
    """Drop at these ends, in a node's namespace at one moment; how many drop anything."""
    closed = 0
    for hooks in dict.fromkeys(hooks for hooks in drops.values() if hooks):
        group = [end for end, own in drops.items() if own == hooks]
        for where, names in _by_place(runtime, lab, group).items():
            if where.parent != lab.parked:
                blackhole.close(where, *names, hooks=hooks)
                closed += len(names)
    return closed


def _drops(lab: LabDir, end: Endpoint, without: tuple[str, str] = ("", "")) -> tuple[str, ...]:
    """Where an end drops packets by the black holes in force, but for one; empty if it does not."""
    holes = [fault for fault in faults(lab) if (fault.action, fault.target) != without]
    name = str(end)
    directions = {
        fault.detail.get("sent_by", "")
        for fault in holes
        if (fault.action, fault.target) == (NODE_BLACKHOLE, end.node)
        or (fault.action == BLACKHOLE and name in fault.detail["ends"])
    }
    if "" in directions:
        return blackhole.BOTH
    return blackhole.SENT if end.node in directions else ()


def _ends_of(link: LinkPlan) -> list[str]:
    return [str(end) for end in link.ends]


def _running_ends(runtime: Runtime, lab: LabDir, link: LinkPlan) -> list[tuple[Endpoint, Path]]:
    found = []
    for end in link.ends:
        where = place(runtime, lab, end.node)
        if where is not None and where.parent != lab.parked:
            found.append((end, where))
    return found
