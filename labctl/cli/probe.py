"""labctl probe: numbered packets between two nodes of a running lab, counted."""

import ipaddress
import json as jsonlib
import subprocess
import time
from collections.abc import Sequence
from dataclasses import asdict
from enum import StrEnum
from typing import Annotated

import typer

from labctl.cli.console import need_root, out, out_json, say, table
from labctl.cli.params import Json, LabName, node_names
from labctl.cli.resolve import planned_nodes
from labctl.lab.runtime import Runtime
from labctl.lab.state import LabDir
from labctl.probe.types import Stream, StreamTally

__all__ = ["command", "probe"]

LOST = 1
CANNOT_TELL = 3
MOST_PERIODS = 20  # loss periods printed; all of them are in the JSON


class Proto(StrEnum):
    """What is sent."""

    UDP = "udp"
    ICMP = "icmp"


class Family(StrEnum):
    """Which version of IP."""

    V4 = "4"
    V6 = "6"


def seconds(text: str) -> float:
    """``2.5`` and ``2.5s`` and ``2m``, as seconds."""
    from labctl.document.durations import parse_duration

    try:
        found = float(text)
    except ValueError:
        try:
            found = parse_duration(text) / 1e9
        except ValueError as error:
            raise typer.BadParameter(str(error)) from None
    if not 0 < found <= 86400:  # noqa: PLR2004 - a day
        raise typer.BadParameter("must be above 0 and at most a day")
    return found


def command(
    lab: LabName,
    source: Annotated[
        str, typer.Argument(metavar="FROM", help="The node that sends.", autocompletion=node_names)
    ],
    target: Annotated[
        str,
        typer.Argument(
            metavar="TO", help="The node that receives; with icmp, any address.", autocompletion=node_names
        ),
    ],
    *,
    rate: Annotated[
        float, typer.Option("--rate", metavar="PPS", help="Packets per second, over all flows.")
    ] = 1000.0,
    flows: Annotated[
        int, typer.Option("--flows", metavar="N", help="Number of flows (5-tuples), sent round-robin.")
    ] = 64,
    proto: Annotated[
        Proto, typer.Option("--proto", help="udp, or icmp: echo requests, whose replies are counted.")
    ] = Proto.UDP,
    duration: Annotated[
        float,
        typer.Option("--for", metavar="TIME", parser=seconds, help="Duration of the traffic: 5s, 500ms, 2m."),
    ] = 5.0,
    size: Annotated[
        int, typer.Option("--size", metavar="BYTES", help="Size of the IP packets, header included.")
    ] = 128,
    family: Annotated[Family, typer.Option("--family", help="IP version: 4 or 6.")] = Family.V4,
    both: Annotated[bool, typer.Option("--both", help="Send in both directions at the same time.")] = False,
    json: Json = False,
) -> None:
    """Send numbered packets between two nodes and count them.

    Exit code 0: all arrived. 1: some were lost. 3: inconclusive, because the sender or the receiver
    could not keep up. FROM and TO may also be VMs that labctl overlay env create made.
    """
    from labctl.lab.lifecycle import open_lab

    need_root("sending inside a node")
    runtime, lab_dir = open_lab(lab)
    here = address_of(runtime, lab_dir, source, int(family))
    there = target if is_address(target) else address_of(runtime, lab_dir, target, int(family))
    if is_address(target) and (proto is not Proto.ICMP or both):
        raise typer.BadParameter("an address instead of a node needs --proto icmp, one way")
    name, back = f"{source}->{target}", f"{target}->{source}"
    streams = [Stream(name, source, target, here, there, proto.value, rate, flows, size)]
    if both:
        streams.append(Stream(back, target, source, there, here, proto.value, rate, flows, size))
    told = probe(runtime, lab_dir, streams, duration)
    if json:
        out_json([asdict(each) for each in told])
    else:
        show(told)
    raise typer.Exit(verdict(told))


def probe(
    runtime: Runtime, lab: LabDir, streams: Sequence[Stream], duration_s: float
) -> tuple[StreamTally, ...]:
    """Send the streams for so long, wait for what is under way, and count.

    Raises:
        ProbeError: traffic could not be sent or received at all.
    """
    from labctl.overlay.client.agents import netns_of
    from labctl.probe import start_traffic

    with start_traffic(lambda node: netns_of(runtime, lab, node), streams, max_s=duration_s + 60) as traffic:
        end_ns = traffic.started_ns + int(duration_s * 1e9)
        while (left := end_ns - time.monotonic_ns()) > 0:
            time.sleep(min(left / 1e9, 0.5))
            traffic.check()
        return traffic.stop()


def verdict(told: Sequence[StreamTally]) -> int:
    """The exit code."""
    if any(each.generator.skipped or each.receiver.overflowed or not each.sent for each in told):
        return CANNOT_TELL
    return LOST if any(each.lost for each in told) else 0


def is_address(text: str) -> bool:
    """Whether it is an address and not a node's name."""
    try:
        ipaddress.ip_address(text)
    except ValueError:
        return False
    return True


def address_of(runtime: Runtime, lab: LabDir, node: str, family: int) -> str:
    """The address that traffic to a node goes to: its loopback, or else the first global one it has.

    Raises:
        ActionError: the node is off or missing.
        ProbeError: it has no address of that family.
    """
    planned = planned_nodes(lab).get(node)
    own = planned and (planned.loopback4 if family == 4 else planned.loopback6)  # noqa: PLR2004 - IPv4
    if own:
        return str(own.ip)
    from labctl.errors import ProbeError
    from labctl.overlay.client.agents import netns_of

    netns = netns_of(runtime, lab, node)
    words = ["nsenter", f"--net={netns}", "ip", "-j", f"-{family}", "addr", "show", "scope", "global"]
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    try:
        found = [entry["local"] for link in jsonlib.loads(done.stdout) for entry in link.get("addr_info", ())]
    except (ValueError, KeyError, TypeError):
        found = []
    if not found:
        raise ProbeError(f"{node} has no IPv{family} address that traffic could go to")
    return str(found[0])


def show(told: Sequence[StreamTally]) -> None:
    """A line a stream, the loss periods, and how far the measurement can be trusted."""
    head = ["STREAM", "SENT", "RECEIVED", "LOST", "DUPLICATED", "REORDERED", "DELAY P50", "P99", "MAX"]
    out(table(head, [_row(each) for each in told]))
    for each in told:
        for text in _periods(each):
            out(text)
    for each in told:
        for text in _trust(each):
            say(text)


def _row(told: StreamTally) -> list[str]:
    from labctl.document.durations import format_duration

    counts = (told.sent, told.received, told.lost, told.duplicated, told.reordered)
    delays = (told.delay_p50_ns, told.delay_p99_ns, told.delay_max_ns)
    return [told.stream.name, *map(str, counts), *map(format_duration, delays)]


def _periods(told: StreamTally) -> list[str]:
    from labctl.document.durations import format_duration

    found = sorted(
        ((loss.start_ns, flow.flow, loss) for flow in told.flows for loss in flow.losses),
        key=lambda each: each[:2],
    )
    lines = [
        f"{told.stream.name} flow {flow}: {loss.count} lost from +{(start - told.start_ns) / 1e9:.3f} s, "
        f"outage {format_duration(loss.outage_ns)} +- {format_duration(loss.error_ns)}"
        + (", not over at the end" if loss.open else "")
        for start, flow, loss in found[:MOST_PERIODS]
    ]
    if len(found) > MOST_PERIODS:
        lines.append(
            f"{told.stream.name}: {len(found) - MOST_PERIODS} more loss periods; --json has them all"
        )
    return lines


def _trust(told: StreamTally) -> list[str]:
    from labctl.document.durations import format_duration

    health, name = told.generator, told.stream.name
    p99, most = format_duration(health.late_p99_ns), format_duration(health.late_max_ns)
    lines = [f"{name}: sender late by {p99} (p99), {most} at most"]
    if health.priority == "normal":
        lines.append(f"{name}: the sender was granted no priority over other processes")
    if health.refused:
        reasons = ", ".join(f"{reason} {count}" for reason, count in health.refusals)
        lines.append(
            f"{name}: {health.refused} of the lost were refused by the sender's own kernel: {reasons}"
        )
    if health.skipped:
        lines.append(
            f"{name}: {health.skipped} packets were due and never tried: the sender could not keep up"
        )
    if told.receiver.overflowed:
        lines.append(f"{name}: {told.receiver.overflowed} packets came and the receiver could not keep them")
    if told.receiver.backlog_dropped:
        lines.append(f"{told.receiver.backlog_dropped} packets were dropped by this machine's own backlog")
    return lines
