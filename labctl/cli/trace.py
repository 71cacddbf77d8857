"""labctl trace: the life of a packet through the virtual networks of a running lab."""

from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated, Any

import typer

from labctl.cli.console import need_root, out, out_json, say
from labctl.cli.params import Json, LabName, node_names

if TYPE_CHECKING:
    from labctl.vnet.decide import Verdict
    from labctl.vnet.sighting import Sighting
    from labctl.vnet.trace import Trace

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
        float, typer.Option("--wait", metavar="SECONDS", min=0.01, max=60, help="How long to wait for it.")
    ] = 1.0,
    json: Json = False,
) -> None:
    """Follow a packet through the virtual networks, and then send it.

    First what the agents decide: each virtual device, what it said, the flow entry, the tunnel. Then
    the packet itself, sent by FROM's own kernel and seen on every interface that it passes.

    Exit code 0: it arrived, or was answered. 1: it did not and was not.
    """
    from labctl.runtime.labs import open_lab
    from labctl.vnet.trace import trace
    from labctl.vnet.words import read_words

    wanted = read_words(" ".join(words))
    need_root("sending and listening inside nodes")
    runtime, lab_dir = open_lab(lab)
    told = trace(runtime, lab_dir, source, wanted, wait)
    if json:
        out_json(_plain(told))
    else:
        _show(told)
    raise typer.Exit(0 if told.arrived or told.answered else NOT_ARRIVED)


def _plain(told: "Trace") -> dict[str, Any]:
    plain = asdict(told)
    for seen in plain["sightings"]:
        seen["frame"] = seen["frame"].hex()
    return plain


def _show(told: "Trace") -> None:
    out(f"{told.source} -> {told.target or 'outside'}: {told.said}")
    for verdict in told.verdicts:
        out("")
        _show_verdict(verdict)
    if not told.verdicts:
        out("\nno agent decided anything: the packet was not seen to come to the overlay")
    out("\nthe packet itself:")
    start = told.sightings[0].t_ns if told.sightings else 0
    names = max((len(f"{seen.node}:{seen.interface}") for seen in told.sightings), default=0)
    for seen in told.sightings:
        out("  " + _seen(seen, start, names))
    out(f"\n{told.end}")
    if not told.whole:
        say("more passed than could be heard: a hop may be missing")


def _show_verdict(verdict: "Verdict") -> None:
    key = verdict.ingress & (_FROM_TUNNEL - 1)
    came = f"out of tunnel {key}" if verdict.ingress & _FROM_TUNNEL else f"by port {key}"
    out(f"{verdict.host} decides, as it comes {came}:")
    width = max((len(device) for device, _ in verdict.steps), default=0)
    for device, said in verdict.steps:
        out(f"  {device.ljust(width)}  {said}")
    out(f"  => {_decision(verdict)}")
    before, after = (_entry(entry) for entry in (verdict.entry, verdict.entry_after))
    if before == after == "none":
        out("  flow entry: none")
    else:
        out(f"  flow entry: {before if before != after else 'as before'} before, {after} after")


def _decision(verdict: "Verdict") -> str:
    if verdict.decision != "forward":
        return f"{verdict.decision}: {verdict.reason}" if verdict.reason else verdict.decision
    ways = [
        f"tunnel {output['key']} to {output['remote']} ({verdict.next_host or 'a gateway'})"
        if output["remote"]
        else f"port {output['port']}"
        for output in verdict.outputs
    ]
    return f"forward: {', '.join(ways)}"


def _entry(entry: Any) -> str:  # noqa: ANN401 - a row of JSON, or None
    if not entry:
        return "none"
    what = entry["action"]
    if what == "tunnel":
        what = f"tunnel {entry['tunnel']} to {entry['remote']}"
    elif what == "port":
        what = f"interface {entry['out']}"
    return f"{what} ({entry['packets']} packets)"


def _seen(seen: "Sighting", start: int, names: int) -> str:
    place = f"{seen.node}:{seen.interface}".ljust(names)
    way = "out" if seen.outgoing else "in "
    tunnel = ""
    if seen.tunnel is not None:
        outer = seen.tunnel
        tunnel = f"  in tunnel {outer.key}, {outer.source} > {outer.remote}, source port {outer.sport}"
    back = "answer " if seen.answer else ""
    return f"+{(seen.t_ns - start) / 1e6:7.3f} ms  {place}  {way}  {back}{seen.said}{tunnel}"
