#!/usr/bin/env python3
"""What rate the probe holds, and where it ends. Needs root.

Two hosts and a router between them, 64 UDP flows each way through real kernel routing, in network
namespaces. A rate is held if nothing was skipped, refused or lost. With ``--busy N`` so many niced
processes spin besides, as long as one measurement lasts. The last line is crafted frames through a
packet socket, each stamped and its checksum mended, as fast as they go.
"""

from __future__ import annotations

import argparse
import contextlib
import subprocess
import sys
import time
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from common import finish
from scapy.layers.l2 import Ether

from labctl.probe import capture, send_frames, start_traffic
from labctl.probe.spec import flow_packet

sys.path.insert(0, str(Path(__file__).parents[1] / "tests" / "support"))
from probebed import Bed, bed

if TYPE_CHECKING:
    from collections.abc import Iterator

    from labctl.probe import StreamTally

RATES = (5_000, 20_000, 50_000, 75_000, 100_000, 150_000)
SPIN = "import time\nend = time.monotonic() + {seconds}\nwhile time.monotonic() < end: pass"
HEAD = (
    f"{'pps each way':>12} {'s':>4} {'sent':>9} {'skipped':>8} {'refused':>7} {'lost':>6} {'reader':>6} "
    f"{'backlog':>7} {'late p50':>9} {'p99':>9} {'max':>10} {'stalls':>6} {'core':>5}  priority"
)


@contextlib.contextmanager
def busy(count: int, seconds: float) -> Iterator[None]:
    """So many niced processes that spin; they end by themselves."""
    spin = ["nice", "-n", "10", sys.executable, "-c", SPIN.format(seconds=seconds)]
    running = [subprocess.Popen(spin) for _ in range(count)]
    try:
        yield
    finally:
        for process in running:
            process.kill()
            process.wait()


def cpu_ns(pid: int) -> int:
    """Processor time of a process, the packets' way through the kernel included."""
    return int(Path(f"/proc/{pid}/schedstat").read_text().split()[0])


def measure(made: Bed, rate: float, seconds: float, spinning: int) -> dict[str, Any]:
    """One rate, both ways."""
    streams = made.both_ways(rate_pps=rate)
    with busy(spinning, seconds + 5), start_traffic(made.netns, streams, max_s=seconds + 5) as traffic:
        senders = [pid for role, pid in traffic.helpers() if role == "sender"]
        before = [cpu_ns(pid) for pid in senders]
        begin = time.monotonic()
        time.sleep(seconds)
        core = max(cpu_ns(pid) - was for pid, was in zip(senders, before, strict=True)) / (
            time.monotonic() - begin
        )
        told = traffic.stop()
    return summed(told, rate, seconds) | {"busiest_sender_core": round(core / 1e9, 2)}


def summed(told: tuple[StreamTally, ...], rate: float, seconds: float) -> dict[str, Any]:
    """Both directions in one row: counts added, the worse of the times."""
    health = [each.generator for each in told]
    return {
        "pps_each_way": rate,
        "seconds": seconds,
        "due": sum(each.due for each in health),
        "sent": sum(each.sent for each in told),
        "skipped": sum(each.skipped for each in health),
        "refused": sum(each.refused for each in health),
        "lost": sum(each.lost for each in told),
        "overflowed": sum(each.receiver.overflowed for each in told),
        "backlog_dropped": max(each.receiver.backlog_dropped for each in told),
        "late_p50_us": max(each.late_p50_ns for each in health) / 1e3,
        "late_p99_us": max(each.late_p99_ns for each in health) / 1e3,
        "late_max_us": max(each.late_max_ns for each in health) / 1e3,
        "stalls_over_5_ms": sum(len(each.pauses) for each in health),
        "priorities": sorted({each.priority for each in health}),
    }


def line(row: dict[str, Any]) -> str:
    """A row as text."""
    return (
        f"{row['pps_each_way']:12,.0f} {row['seconds']:4.0f} {row['sent']:9,} {row['skipped']:8,} "
        f"{row['refused']:7,} {row['lost']:6,} {row['overflowed']:6,} {row['backlog_dropped']:7,} "
        f"{row['late_p50_us']:6.0f} us {row['late_p99_us']:6.0f} us {row['late_max_us']:7.0f} us "
        f"{row['stalls_over_5_ms']:6} {row['busiest_sender_core']:5.0%}  {', '.join(row['priorities'])}"
    )


def frames(made: Bed) -> dict[str, Any]:
    """Stamped frames through one link, to a station that is not there: the path costs least."""
    stream = made.stream("frames", "a", "b")
    packets = [
        Ether(dst="02:00:00:00:00:99") / flow_packet(stream, 1, flow, 20000 + flow, 50000)
        for flow in range(64)
    ]
    with capture(made.netns("m"), "left", program=[(0x06, 0, 0, 64)], outgoing=False) as heard:
        report = send_frames(made.netns("a"), "eth1", packets, rounds=400)
        arrived = len(heard.read(report.sent, 2.0))
        missed = heard.dropped
    took = (report.end_ns - report.start_ns) / 1e9
    return {
        **asdict(report),
        "frames_per_s": round(report.sent / took),
        "arrived": arrived,
        "not_kept": missed,
    }


def main() -> int:
    """Measure, print, and tell by the exit code whether the lowest rate was held."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rates", default=",".join(map(str, RATES)), help="packets a second each way")
    parser.add_argument("--seconds", type=float, default=5.0)
    parser.add_argument("--busy", type=int, default=0, metavar="N", help="niced processes that spin besides")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    with bed(routed=True) as made:
        rows = [
            measure(made, float(rate), options.seconds, options.busy) for rate in options.rates.split(",")
        ]
        crafted = frames(made)
    held = [row for row in rows if row["skipped"] == row["refused"] == row["lost"] == 0]
    best = max((row["pps_each_way"] for row in held), default=0)
    lines = [HEAD, *map(line, rows), f"held: {best:,.0f} pps each way, over 2 x 64 flows"]
    lines.append(
        f"frames: {crafted['frames_per_s']:,} a second, {crafted['refused']} refused, "
        f"{crafted['sent'] - crafted['arrived'] - crafted['not_kept']} lost"
    )
    finish({"busy": options.busy, "rates": rows, "frames": crafted}, lines, as_json=options.json)
    return int(rows[0] not in held)


if __name__ == "__main__":
    raise SystemExit(main())
