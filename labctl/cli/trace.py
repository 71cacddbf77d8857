"""labctl trace: the life of a packet through the virtual networks of a running lab."""

from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated, Any

import typer

from labctl.cli.console import need_root, out, out_json, say, table
from labctl.cli.params import Json, LabName, node_names

if TYPE_CHECKING:
    from collections.abc import Sequence

    from labctl.overlay.client.hop_decision import HopDecision
    from labctl.overlay.client.observation import Observation
    from labctl.overlay.client.trace import Trace

__all__ = ["command"]

NOT_ARRIVED = 1
_FROM_TUNNEL = 1 << 24


def command(
    lab: LabName,
    source: Annotated[
        str, typer.Argument(metavar="FROM", help="The VM or node that sends.", autocompletion=node_names)
    ],
    words: Annotated[
        list[str],
        typer.Argument(
            metavar="PACKET...",
            help="icmp, udp or tcp (icmp6, ...: by IPv6), whom it goes to (vm2, vm2:80, an address), "
            "and if wanted ttl=N, size=N, sport=N, src=ADDRESS.",
        ),
    ],
    *,
    wait: Annotated[
        float,
        typer.Option("--wait", metavar="SECONDS", min=0.01, max=60, help="Time to wait for the packet."),
    ] = 1.0,
    every: Annotated[
        bool, typer.Option("--all", help="Print a line per interface instead of one per node.")
    ] = False,
    json: Json = False,
) -> None:
    """Trace a packet through the virtual networks: simulated first, then sent.

    First prints what the agents decide: each virtual device and its decision, the flow entry, the
    tunnel. Then FROM's own kernel sends the packet, and labctl captures it on every interface.

    Exit code 0: the packet arrived, or another node replied on behalf of the target. 1: neither.
    """
    from labctl.lab.lifecycle import open_lab
    from labctl.overlay.client.packet_spec import read_words
    from labctl.overlay.client.trace import trace

    wanted = read_words(" ".join(words))
    need_root("sending and listening inside nodes")
    runtime, lab_dir = open_lab(lab)
    told = trace(runtime, lab_dir, source, wanted, wait)
    if json:
        out_json(_plain(told))
    else:
        _show(told, every=every)
    raise typer.Exit(0 if told.well else NOT_ARRIVED)


def _plain(told: "Trace") -> dict[str, Any]:
    """As JSON values, under the keys that readers of this output know."""
    plain = asdict(told)
    hops, observations = plain.pop("hop_decisions"), plain.pop("observations")
    return {
        "said": plain.pop("packet"),
        "verdicts": hops,
        "sightings": [
            {"said": seen.pop("summary"), **seen, "frame": seen["frame"].hex()} for seen in observations
        ],
        **plain,
    }


def _show(told: "Trace", *, every: bool) -> None:
    out(f"{told.source} -> {told.target or 'outside'}: {told.packet}")
    for hop in told.hop_decisions:
        out("")
        _show_hop(hop)
    if not told.hop_decisions:
        out("\nno agent made a decision: the packet did not reach the overlay")
    out("\nthe packet itself:")
    if every:
        _show_observations(told.observations)
    elif told.observations:
        _show_hops(told.observations)
    out(f"\n{told.end}")
    if not told.whole:
        say("the capture dropped packets: a hop may be missing")


def _show_hop(hop: "HopDecision") -> None:
    key = hop.ingress & (_FROM_TUNNEL - 1)
    came = f"out of tunnel {key}" if hop.ingress & _FROM_TUNNEL else f"by port {key}"
    out(f"{hop.host} decides, as it comes {came}:")
    width = max((len(device) for device, _ in hop.steps), default=0)
    for device, message in hop.steps:
        out(f"  {device.ljust(width)}  {message}")
    out(f"  => {_decision(hop)}")
    before, after = (_entry(entry) for entry in (hop.entry, hop.entry_after))
    if not hop.asked_before:
        out(f"  flow entry: {after}")
    elif before == after == "none":
        out("  flow entry: none")
    else:
        out(f"  flow entry: {before} before, {after} after")


def _decision(hop: "HopDecision") -> str:
    if hop.decision != "forward":
        return f"{hop.decision}: {hop.reason}" if hop.reason else hop.decision
    ways = [
        f"tunnel {output['key']} to {output['remote']} ({hop.next_host or 'a gateway'})"
        if output["remote"]
        else f"port {output['port']}"
        for output in hop.outputs
    ]
    return f"forward: {', '.join(ways)}"


def _entry(entry: Any) -> str:  # noqa: ANN401 - a row of JSON, or None
    if not entry:
        return "none"
    what = entry["action"]
    if what == "tunnel":
        what = f"tunnel {entry['tunnel']} to {entry['remote']}"
    elif what == "port":
        what = f"out of {entry['interface'] or entry['out']}"
    return f"{what} (used {entry['packets']} times)" if entry["packets"] != 1 else f"{what} (used once)"


def _show_hops(seen: "Sequence[Observation]") -> None:
    from labctl.overlay.client.hops import hops

    start = seen[0].t_ns
    rows = []
    for hop in hops(seen):
        notes = [_tunnel(hop.last)] if hop.last.tunnel is not None and hop.left else []
        if hop.agent_ns >= 0:
            notes.append(
                f"with the agent {hop.agent_ns / 1e6:.3f} ms" if hop.agent_ns else "ended at the agent"
            )
        ttl = hop.last.summary.rpartition(" ")[2]
        rows.append(
            (
                f"+{(hop.t_ns - start) / 1e6:.3f} ms",
                "<" if hop.answer else ">",
                hop.node,
                hop.came,
                hop.left,
                f"{hop.took_ns / 1e6:.3f} ms",
                ttl,
                "; ".join(notes),
            )
        )
    out(table(("AT", "", "NODE", "IN", "OUT", "TOOK", "TTL", ""), rows))


def _show_observations(seen: "Sequence[Observation]") -> None:
    rows = [
        (
            f"+{(each.t_ns - seen[0].t_ns) / 1e6:.3f} ms",
            "<" if each.answer else ">",
            each.node,
            each.interface,
            "out" if each.outgoing else "in",
            each.summary,
            _tunnel(each),
        )
        for each in seen
    ]
    out(table(("AT", "", "NODE", "INTERFACE", "", "PACKET", ""), rows))


def _tunnel(seen: "Observation") -> str:
    if seen.tunnel is None:
        return ""
    return f"tunnel {seen.tunnel.key} to {seen.tunnel.remote}, from port {seen.tunnel.sport}"
