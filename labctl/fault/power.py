"""Power cut and power-on of a node, the same for every runtime.

A cut takes every link of the node down at once, then kills its processes, in this order:

1. A link monitor opens in every peer's namespace; the node's own namespace is pinned.
2. Every process of the node is stopped, so that none can close a socket or send a last message. The kernel
   has 5 ms to confirm that all have stopped; after that the links go down whatever the processes do.
3. All link ends of the node go down in one netlink message, under one hold of the kernel's lock: the
   peers lose carrier, and keep interface, addresses and routes.
4. When every peer has reported the loss of carrier, the processes are killed, including processes that
   entered the node from outside. What their sockets still send (FIN, RST) finds no link.

At power-on the node boots in fresh namespaces. The links move there from the pinned namespace, which is
then released with any sockets left in it.

Virtual machines fail and return with their host: an action on one node covers both, one after
the other (a virtual machine falls silent with its host, which is its only neighbour).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from labctl.clab.definition import DEFERRED_UP, STOP_PROGRAM
from labctl.errors import ActionError, LabctlError
from labctl.events import Event, now_ns
from labctl.fault import node_links
from labctl.fault.dependents import guests_of, host_of
from labctl.fault.effects import effect_of
from labctl.fault.ends import far_ends, known_node, label, own_ends, place
from labctl.fault.freeze import BoundedFreeze, freeze, thaw
from labctl.fault.link import close_again
from labctl.fault.linkstate import set_end_down
from labctl.fault.registry import Fault, clear, faults, lock_nodes, record
from labctl.fault.types import Effect, PowerMode
from labctl.fault.watch import CarrierWatch
from labctl.lab.definition_cache import definition_of
from labctl.lab.ecmp_seed import set_ecmp_seeds
from labctl.lab.exec_commands import run_exec_commands
from labctl.lab.runtime import NodeStatus
from labctl.linux import processes
from labctl.linux.netns import pin, unpin
from labctl.linux.scheduling import realtime

if TYPE_CHECKING:
    from pathlib import Path

    from labctl.clab.definition import Definition
    from labctl.events import Listener
    from labctl.lab.runtime import Runtime
    from labctl.lab.state import LabDir
    from labctl.model.lab import Endpoint, LinkPlan

__all__ = ["ACTION", "power_off", "power_on"]

ACTION = "power-off"
"""What a node without power is called in the registry."""

_FREEZE_S = 0.005
_PRIORITY = 10
_SEEN_S = 2.0
_FOUND_S = 5.0
_STOP_S = 20.0


def power_off(runtime: Runtime, lab: LabDir, node: str, mode: PowerMode, listen: Listener) -> Effect:
    """Cut the power of a node; repeating it is no error.

    Args:
        runtime: that runs the lab.
        lab: the lab.
        node: name of the node.
        mode: see :class:`labctl.fault.types.PowerMode`.
        listen: gets ``node.stopped``.

    Returns:
        What it did. ``detail``: ``mode``; ``processes`` stopped; ``freeze_ns``: how long that was
        waited for; ``unfrozen`` if not all had stopped by then; ``window_ns``; ``not_before_ns``: when
        the links began to go; ``pull_ns``: how long the kernel took for it; ``already`` if there was
        nothing to do; ``unseen``: peers that did not tell of the lost carrier in time;
        ``without_carrier``: peers that had none before; ``stop``: what the stop program reported if it
        failed; ``guests``: virtual machines that went with it.

    Raises:
        ActionError: no such node; or no peer at all saw the carrier go.
    """
    guests = guests_of(known_node(lab, node), node)
    if mode is PowerMode.GRACEFUL:
        for guest in guests:
            _power_off(runtime, lab, guest, mode, listen, host=node)
    effect = _power_off(runtime, lab, node, mode, listen)
    for guest in guests if mode is not PowerMode.GRACEFUL else ():
        _power_off(runtime, lab, guest, mode, listen, host=node)
    if guests:
        effect.detail["guests"] = ",".join(guests)
    return effect


def _power_off(
    runtime: Runtime, lab: LabDir, node: str, mode: PowerMode, listen: Listener, *, host: str = ""
) -> Effect:
    """Cut one node; ``host`` is the node whose power was cut."""
    requested = now_ns()
    fault = Fault(ACTION, node, {"mode": mode.value} | ({"host": host} if host else {}))
    with lock_nodes(lab, [node]):
        state = runtime.states(lab)[node]
        if state.status in (NodeStatus.OFF, NodeStatus.MISSING):
            return _nothing(ACTION, node, requested, mode)
        if mode is PowerMode.FREEZE:
            record(lab, fault)
            stopped = freeze(state.init_pid)
            now = now_ns()
            effect = Effect(ACTION, node, requested, now, now, now)
            effect.detail.update({"mode": mode.value, "processes": stopped})
            return effect
        failure = _run_stop_program(runtime, lab, node) if mode is PowerMode.GRACEFUL else ""
        effect = _cut(runtime, lab, fault, mode, requested)
        if failure:
            effect.detail["stop"] = failure
        listen(Event("node.stopped", data={"node": node}))
        if effect.carriers and not any(change.t_ns for change in effect.carriers):
            raise ActionError(f"power-off of {node} had no effect: no peer lost carrier within {_SEEN_S:g} s")
        return effect


def power_on(runtime: Runtime, lab: LabDir, node: str, listen: Listener) -> Effect:
    """Return power to a node; repeating it is no error. Does not wait for readiness.

    Returns:
        What it did. ``detail``: ``already`` if there was nothing to do; ``thawed`` if the node was
        frozen; ``unseen``: peers that did not find carrier in time; ``window_ns``; ``guests``: virtual
        machines that came with it.

    Raises:
        ActionError: no such node; its links are lost; or its host has no power.
        NodeError: it did not start; or it has power and a command of its `exec` failed.
    """
    definition = known_node(lab, node)
    host = host_of(definition, node)
    if host and runtime.states(lab)[host].status is not NodeStatus.RUNNING:
        raise ActionError(f"{node} runs on {host}, which has no power")
    effect = _power_on(runtime, lab, definition, node, listen)
    guests = guests_of(definition, node)
    for guest in guests:
        _power_on(runtime, lab, definition, guest, listen)
    if guests:
        effect.detail["guests"] = ",".join(guests)
    return effect


def _power_on(runtime: Runtime, lab: LabDir, definition: Definition, node: str, listen: Listener) -> Effect:
    """One node alone."""
    requested = now_ns()
    with lock_nodes(lab, {node, *(end.node for end in far_ends(definition, node))}):
        state = runtime.states(lab)[node]
        parked = lab.parked / node
        if state.init_pid and not processes.pinned(parked):
            # Even if PID 1 runs: whoever froze the others may have been killed at it.
            thaw(state.init_pid)
            clear(lab, ACTION, node)
            effect = _nothing("power-on", node, requested, None)
            if state.status is NodeStatus.FROZEN:
                effect.detail.pop("already")
                effect.detail["thawed"] = True
            return effect
        effect = _restore(runtime, lab, definition, node, requested)
        clear(lab, ACTION, node)
        listen(Event("node.started", data={"node": node}))
        # The node has power, whatever becomes of its commands: no fault stays in force.
        run_exec_commands(runtime, lab, [definition.node(node)])
        return effect


def _cut(
    runtime: Runtime,
    lab: LabDir,
    fault: Fault,
    mode: PowerMode,
    requested: int,
) -> Effect:
    node, definition = fault.target, definition_of(lab)
    netns = runtime.netns(lab, node)
    peers = _places(runtime, lab, far_ends(definition, node))
    # What can be refused is prepared first: a cut that cannot be made leaves no fault in force.
    with (
        CarrierWatch(peers, carrier=False) as watch,
        node_links.LinkDown(netns, [end.interface for end in own_ends(definition, node)]) as links,
        BoundedFreeze(runtime.states(lab)[node].init_pid) as freezing,
    ):
        record(lab, fault)
        pin(netns, lab.parked / node)
        # On a busy machine it would be tens of milliseconds before this thread runs again after a wait.
        # Up to the peers' word: a thread that is put aside while it holds the interpreter delays the watch.
        with realtime(_PRIORITY):
            whole, waited = freezing.within(_FREEZE_S)
            not_before = now_ns()
            took = links.set_down()
            seen = watch.wait(_SEEN_S)
        settled = len(watch.settled)
    runtime.kill(lab, node)
    node_links.drop_orphan_sockets(lab.parked / node)
    effect = effect_of(ACTION, node, requested, seen)
    effect.detail.update({"mode": mode.value, "processes": freezing.processes, "freeze_ns": waited})
    if not whole:
        effect.detail["unfrozen"] = True
    effect.detail.update({"not_before_ns": not_before, "pull_ns": took})
    if settled:
        effect.detail["without_carrier"] = settled
    return effect


def _restore(runtime: Runtime, lab: LabDir, definition: Definition, node: str, requested: int) -> Effect:
    parked = lab.parked / node
    if not processes.pinned(parked):
        _park_what_is_left(lab, node)
    cut = {fault.target for fault in faults(lab) if fault.action == "link-cut"}
    for link in definition.links_of(node):
        if label(link) in cut:
            # The node's boot program sets its own ends up: the peer's end keeps the link down.
            set_end_down(runtime, lab, link, not_at=node)
    names = [end.interface for end in own_ends(definition, node)]
    _gather(runtime, lab, node, names)
    runtime.boot(lab, node)
    set_ecmp_seeds(runtime, lab, [node])
    netns = runtime.netns(lab, node)
    # Ends that the node itself takes up, once it can pass traffic on, are not waited for.
    deferred = set(definition.node(node).labels.get(DEFERRED_UP, "").split())
    later = {label(link) for link in definition.links_of(node) if _own(link, node) in deferred}
    with CarrierWatch(
        _places(runtime, lab, far_ends(definition, node, but=cut | later)), carrier=True
    ) as watch:
        node_links.move_links(parked, netns, names)
        close_again(lab, netns, own_ends(definition, node))
        node_links.set_links_up(netns, [name for name in names if name not in deferred])
        unpin(parked)
        seen = watch.wait(_FOUND_S)
    return effect_of("power-on", node, requested, seen)


def _gather(runtime: Runtime, lab: LabDir, node: str, names: list[str]) -> None:
    """Bring a node that a killed labctl left half off or half on to where power-on begins.

    That is: every link in the pinned namespace, and no process left. Nothing is to be done as a rule.
    """
    parked = lab.parked / node
    where = runtime.netns(lab, node) if runtime.states(lab)[node].init_pid else lab.netns / node
    space = processes.pinned(where)
    if space is None:
        return
    if space == processes.pinned(parked):
        with node_links.LinkDown(parked, names) as links:
            links.set_down()
    else:
        node_links.move_links(where, parked, names)
    runtime.kill(lab, node)


def _own(link: LinkPlan, node: str) -> str:
    return link.a.interface if link.a.node == node else link.b.interface


def _park_what_is_left(lab: LabDir, node: str) -> None:
    """Park the links of a node that ended by itself: the runtime still pins the namespace that holds them."""
    if not processes.pinned(lab.netns / node):
        raise ActionError(f"the links of {node} are lost: its namespace is gone; take the lab down and up")
    pin(lab.netns / node, lab.parked / node)


def _places(runtime: Runtime, lab: LabDir, ends: tuple[Endpoint, ...]) -> list[tuple[Endpoint, Path]]:
    """Ends that can report carrier, with their namespaces; parked ends cannot."""
    found = []
    for end in ends:
        where = place(runtime, lab, end.node)
        if where is not None and where.parent != lab.parked:
            found.append((end, where))
    return found


def _run_stop_program(runtime: Runtime, lab: LabDir, node: str) -> str:
    try:
        result = runtime.exec(lab, node, [STOP_PROGRAM], timeout_s=_STOP_S)
    except LabctlError as error:
        return str(error)
    return (
        ""
        if result.ok
        else f"{STOP_PROGRAM} ended with {result.code}: {result.stderr.decode(errors='replace')}"
    )


def _nothing(action: str, target: str, requested: int, mode: PowerMode | None) -> Effect:
    now = now_ns()
    effect = Effect(action, target, requested, now, now, now, detail={"already": True})
    if mode:
        effect.detail["mode"] = mode.value
    return effect
