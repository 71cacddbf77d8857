"""What a journal says of a controller that builds its tenants' networks one by one. Pure.

Made from the result (outages of the flows, one a tenant) and the events that the controllers wrote
(``node.event`` in the journal, see docs/paris.md). Times are seconds after the fault's first effect.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from itertools import pairwise
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from labctl.events import Event
    from labctl.verdict.schema import FaultResult, Result, StreamResult

__all__ = ["PYTHON", "CommandKind", "Staircase", "TenantOutage", "staircase_of"]

GATEWAYS, MACHINES = "gateways", "machines"
"""Streams with a flow a tenant."""

PYTHON = "edit of the rules (Python)"


@dataclass(frozen=True, slots=True)
class CommandKind:
    """All commands of one kind: how many, and seconds in all."""

    name: str
    count: int
    seconds: float


@dataclass(frozen=True, slots=True)
class TenantOutage:
    """One tenant, by its place in the range.

    Attributes:
        label: of its network.
        stopped_s, answered_s: its gateway's outage; None where it had none, or it never ended.
        machine_s: when its machine answered.
        begun_s, done_s: when the controller worked on its network.
        commands: root commands for it.
        iptables_s, other_s: seconds of root commands for it.
    """

    index: int
    label: str
    stopped_s: float | None
    answered_s: float | None
    machine_s: float | None
    begun_s: float | None
    done_s: float | None
    commands: int
    iptables_s: float
    other_s: float


@dataclass(frozen=True, slots=True)
class Staircase:
    """One fail-over of a serial controller.

    Attributes:
        fault: what was done, in words.
        node: the controller that took over.
        settings: that it started with.
        segment: how tenants are told apart on the wire, and why so.
        detected_s: when it became the active one.
        read_s: when it had read the networks from the database.
        networks_s: when the last network was done.
        queue_s: when the message queue was connected.
        kinds: of commands, the costliest first.
        tenants: in the order of the range.
        error_s: outages are true to this, either way.
    """

    fault: str
    node: str
    settings: Mapping[str, Any]
    segment: str
    detected_s: float | None
    read_s: float | None
    networks_s: float | None
    queue_s: float | None
    kinds: tuple[CommandKind, ...]
    tenants: tuple[TenantOutage, ...]
    error_s: float

    @property
    def commands(self) -> int:
        """Root commands in all."""
        return sum(kind.count for kind in self.kinds if kind.name != PYTHON)

    @property
    def command_seconds(self) -> float:
        """Seconds of root commands in all."""
        return sum(kind.seconds for kind in self.kinds if kind.name != PYTHON)

    @property
    def in_order(self) -> bool:
        """Whether the gateways answered in the order of the range, to the error of the outages."""
        found = [tenant.answered_s for tenant in self.tenants if tenant.answered_s is not None]
        return all(later >= earlier - 2 * self.error_s for earlier, later in pairwise(found))

    @property
    def forgotten(self) -> tuple[str, ...]:
        """Tenants that lost their gateway and never got it back."""
        return tuple(
            tenant.label
            for tenant in self.tenants
            if tenant.stopped_s is not None and tenant.answered_s is None
        )


@dataclass
class _Service:
    """What one start of the controller wrote."""

    node: str
    events: list[tuple[str, float, Mapping[str, Any]]] = field(default_factory=list)

    def first(self, kind: str) -> tuple[float, Mapping[str, Any]] | None:
        return next(((t_s, data) for name, t_s, data in self.events if name == kind), None)

    def moment(self, kind: str) -> float | None:
        found = self.first(kind)
        return found[0] if found else None


def staircase_of(result: Result, events: Sequence[Event]) -> Staircase | None:
    """The first fail-over of the first run, if a controller told of what it did after it.

    Args:
        result: of the journal.
        events: of the journal.
    """
    run = next((run for run in result.runs if any(fault.breaks for fault in run.faults)), None)
    zero = next((event.t_ns for event in events if event.kind == "timeline.started"), None)
    if run is None or zero is None:
        return None
    fault = next(fault for fault in run.faults if fault.breaks)
    # A planned move begins when it is asked for, a cut when the first peer has lost its carrier.
    begin = fault.requested_ns if fault.mode == "graceful" else fault.first_ns
    service = _service(events, zero + fault.requested_ns, zero + begin)
    if service is None:
        return None
    return _staircase(service, fault, {stream.name: stream for stream in run.streams}, begin)


_SHAPES: Mapping[str, Mapping[str, type]] = {
    "network.started": {"index": int, "label": str},
    "network.done": {"index": int},
    "command": {"program": str, "ns": int, "network": int},
    "apply": {"edit_ns": int},
    "segment": {"segment": str, "reason": str},
}
"""What is read of the events that a controller writes, by kind."""


def _legible(event: Event) -> bool:
    """Whether a node's own event has the shape of its kind: programs in nodes write what they like."""
    data = event.data
    if event.kind != "node.event" or not isinstance(data, Mapping):
        return False
    told = data.get("data")
    if not (isinstance(data.get("node"), str) and isinstance(data.get("kind"), str)):
        return False
    return isinstance(told, Mapping) and all(
        isinstance(told.get(key), wanted) for key, wanted in _SHAPES.get(data["kind"], {}).items()
    )


def _service(events: Iterable[Event], asked_ns: int, begin_ns: int) -> _Service | None:
    """The events of the first controller that became active after the fault was asked for."""
    told = sorted(
        (event for event in events if _legible(event) and event.t_ns >= asked_ns),
        key=lambda event: event.t_ns,
    )
    node = next((event.data["node"] for event in told if event.data["kind"] == "service.started"), None)
    if node is None:
        return None
    mine = [
        (event.data["kind"], (event.t_ns - begin_ns) / 1e9, event.data["data"])
        for event in told
        if event.data["node"] == node
    ]
    return _Service(node, mine)


def _staircase(
    service: _Service, fault: FaultResult, streams: Mapping[str, StreamResult], begin_ns: int
) -> Staircase:
    started, segment = service.first("service.started"), service.first("segment")
    gateways = streams.get(GATEWAYS)
    return Staircase(
        fault=f"{fault.action} {fault.target}" + (f" ({fault.mode})" if fault.mode != "cut" else ""),
        node=service.node,
        settings=started[1] if started else {},
        segment=f"{segment[1]['segment']}: {segment[1]['reason']}" if segment else "",
        detected_s=service.moment("cluster.active"),
        read_s=service.moment("database.read"),
        networks_s=service.moment("networks.done"),
        queue_s=service.moment("queue.connected"),
        kinds=_kinds(service),
        tenants=_tenants(service, fault, streams, begin_ns),
        error_s=gateways.error_ns / 1e9 if gateways else 0.0,
    )


def _kinds(service: _Service) -> tuple[CommandKind, ...]:
    found: dict[str, tuple[int, float]] = {}
    for kind, _, data in service.events:
        if kind == "command":
            count, seconds = found.get(data["program"], (0, 0.0))
            found[data["program"]] = (count + 1, seconds + data["ns"] / 1e9)
        elif kind == "apply" and data["edit_ns"]:
            count, seconds = found.get(PYTHON, (0, 0.0))
            found[PYTHON] = (count + 1, seconds + data["edit_ns"] / 1e9)
    kinds = (CommandKind(name, count, seconds) for name, (count, seconds) in found.items())
    return tuple(sorted(kinds, key=lambda kind: -kind.seconds))


def _tenants(
    service: _Service, fault: FaultResult, streams: Mapping[str, StreamResult], begin_ns: int
) -> tuple[TenantOutage, ...]:
    begun = {
        data["index"]: (t_s, data["label"]) for kind, t_s, data in service.events if kind == "network.started"
    }
    done = {data["index"]: t_s for kind, t_s, data in service.events if kind == "network.done"}
    commands: dict[int, list[tuple[bool, float]]] = {}
    for kind, _, data in service.events:
        if kind == "command":
            is_iptables = data["program"].startswith("iptables")
            commands.setdefault(data["network"], []).append((is_iptables, data["ns"] / 1e9))
    gateways = _outages(streams.get(GATEWAYS), fault, begin_ns)
    machines = _outages(streams.get(MACHINES), fault, begin_ns)
    found = []
    for index in sorted({*begun, *gateways}):
        stopped, answered = gateways.get(index, (None, None))
        spent = commands.get(index, [])
        found.append(
            TenantOutage(
                index=index,
                label=begun[index][1] if index in begun else f"flow {index}",
                stopped_s=stopped,
                answered_s=answered,
                machine_s=machines.get(index, (None, None))[1],
                begun_s=begun[index][0] if index in begun else None,
                done_s=done.get(index),
                commands=len(spent),
                iptables_s=sum(seconds for is_iptables, seconds in spent if is_iptables),
                other_s=sum(seconds for is_iptables, seconds in spent if not is_iptables),
            )
        )
    return tuple(found)


def _outages(
    stream: StreamResult | None, fault: FaultResult, begin_ns: int
) -> dict[int, tuple[float | None, float | None]]:
    """Of each flow that the fault hit: when it stopped and when it was back for good."""
    found: dict[int, tuple[float | None, float | None]] = {}
    for flow in stream.flows if stream else ():
        spans = [loss for loss in flow.losses if loss.step == fault.index]
        if spans:
            last = max(spans, key=lambda loss: loss.end_ns)
            stopped = (min(loss.start_ns for loss in spans) - begin_ns) / 1e9
            back = None if last.open else (last.start_ns + last.outage_ns - begin_ns) / 1e9
            found[flow.flow] = (stopped, back)
    return found
