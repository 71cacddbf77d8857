"""How long nova-network's fail-over takes, over the number of networks and over root helpers.

Each point is a whole fail-over: the lab brought up, the active controller's power cut, the lab taken
down. Root, and what `labctl doctor --for paris` asks for. The results stay in a folder, a point whose
results are there is not run again, and a page with the curves is made of all points in the folder. So
it can be done in pieces:

    bench/paris.py --networks 5,10,25,50 --helpers none,sudo,rootwrap-daemon,rootwrap
    bench/paris.py --networks 100 --helpers rootwrap
    bench/paris.py --networks 25 --helpers rootwrap --set release=2013.2
"""

from __future__ import annotations

import argparse
import math
import sys
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean
from typing import TYPE_CHECKING

from common import finish, labctl

from labctl.journal.file import read_journal
from labctl.report.markup import Markup, el, join
from labctl.report.staircase_data import staircase_of
from labctl.report.style import STYLE
from labctl.verdict import judge

if TYPE_CHECKING:
    from collections.abc import Sequence

    from labctl.events import Event
    from labctl.report.staircase_data import Staircase

ROOT = Path(__file__).parent.parent
TOPOLOGY, SCENARIO = ROOT / "topologies/paris-nova.yml", ROOT / "scenarios/paris-power-off.yml"
HELPERS = ("none", "sudo", "rootwrap-daemon", "rootwrap")
COLOURS = {"none": "#16803c", "sudo": "#1c9aa0", "rootwrap-daemon": "#2457c5", "rootwrap": "#d1242f"}
WIDTH, HEIGHT, LEFT, BOTTOM = 1040, 340, 64, 300


@dataclass(frozen=True)
class Point:
    """One fail-over.

    Attributes:
        sets: further variables of the topology, ``key=value``; such points stand in the table only.
    """

    networks: int
    helper: str
    sets: tuple[str, ...] = ()

    @property
    def name(self) -> str:
        """Of its folder."""
        return "-".join((f"n{self.networks}", self.helper, *(one.replace("=", "_") for one in self.sets)))

    @property
    def label(self) -> str:
        """For the table."""
        return ", ".join((self.helper, *self.sets))


@dataclass(frozen=True)
class Measured:
    """What one fail-over took.

    Attributes:
        dhcpbridge_s: of each start of nova-dhcpbridge on the controller that took over, in seconds.
    """

    point: Point
    stairs: Staircase
    dhcpbridge_s: tuple[float, ...]

    @property
    def command_ms(self) -> float:
        """Mean of a root command, without what dnsmasq waited for nova-dhcpbridge."""
        seconds = self.stairs.command_seconds - sum(self.dhcpbridge_s)
        return 1000 * seconds / max(self.stairs.commands, 1)

    @property
    def dhcpbridge_ms(self) -> float | None:
        """Mean of a start; None where a shell script answers."""
        return 1000 * fmean(self.dhcpbridge_s) if self.dhcpbridge_s else None


def fail_over(point: Point, out: Path) -> None:
    """Run one point into its folder.

    Raises:
        SystemExit: it did not run to its end.
    """
    pairs = (f"networks={point.networks}", f"helper={point.helper}", *point.sets)
    words = [word for one in pairs for word in ("--set", one)]
    name = ("--name", "bench-paris")
    up = ("up", str(TOPOLOGY), *name, *words, "--runtime", "netns", "--timeout", "900")
    labctl(*up, timeout_s=1000)
    try:
        done = labctl("run", str(SCENARIO), *name, *words, "--out", str(out), check=False, timeout_s=3600)
    finally:
        labctl("down", "bench-paris")
    if done.returncode != 0:
        sys.exit(f"{point.name}: {done.stdout}{done.stderr}")


def read(folder: Path) -> Measured | None:
    """The point of one folder of results, as its journal says; None if the run did not come to its end."""
    events = read_journal(folder / "journal.jsonl")
    if any(event.kind == "run.interrupted" for event in events):
        return None
    result = judge(events)
    stairs = staircase_of(result, events)
    given = dict(one.split("=", 1) for one in result.about.get("topology", {}).get("sets", ()))
    if stairs is None or not {"networks", "helper"} <= given.keys():
        return None
    networks, helper = int(given.pop("networks")), given.pop("helper")
    point = Point(networks, helper, tuple(f"{key}={value}" for key, value in given.items()))
    return Measured(point, stairs, dhcpbridge_of(events, stairs.node))


def dhcpbridge_of(events: Sequence[Event], node: str) -> tuple[float, ...]:
    """Seconds of each start of nova-dhcpbridge on a node, as the program itself logged them."""
    told = [event.data for event in events if event.kind == "node.event" and event.data.get("node") == node]
    return tuple(one["data"]["ns"] / 1e9 for one in told if one.get("kind") == "dhcpbridge")


def page(points: Sequence[Measured]) -> str:
    """The curves and the table, as HTML."""
    head = join(
        el("meta", charset="utf-8"), el("title", "nova-network: the curve"), el("style", Markup(STYLE))
    )
    heads = ("networks", "root helper", "first back", "last back", "queue", "commands", "each", "dhcpbridge")
    rows = [
        (
            str(one.point.networks),
            one.point.label,
            *(f"{value:.1f} s" if value is not None else "never" for value in _times(one.stairs)),
            f"{one.stairs.commands:,}",
            f"{one.command_ms:.0f} ms",
            f"{one.dhcpbridge_ms:.0f} ms" if one.dhcpbridge_ms is not None else "none",
        )
        for one in points
    ]
    table = el(
        "table",
        el("thead", el("tr", *(el("th", one) for one in heads))),
        el("tbody", *(el("tr", *(el("td", cell) for cell in row)) for row in rows)),
    )
    key = el(
        "div",
        *(
            el("span", el("i", style=f"background:{COLOURS[one]}"), one)
            for one in HELPERS
            if one in {measured.point.helper for measured in points}
        ),
        class_="key",
    )
    body = join(
        el("h1", "nova-network's fail-over over the number of networks"),
        el(
            "p",
            "Seconds until the last tenant's gateway answers; dashed: the first tenant's. Both axes are"
            " powers of ten.",
            class_="meta",
        ),
        el("div", curve(points), key, class_="card"),
        el("h2", "Every point"),
        el("div", table, class_="card"),
    )
    return "<!doctype html>\n" + el("html", el("head", head), el("body", el("main", body)), lang="en")


def curve(points: Sequence[Measured]) -> Markup:
    """Time over networks, a line a helper."""
    most_s = max((_times(one.stairs)[1] or 1.0 for one in points), default=10.0)
    decades = max(1, math.ceil(math.log10(most_s)))

    def x(count: int) -> float:
        return LEFT + math.log10(max(count, 1)) / math.log10(250) * (WIDTH - LEFT - 20)

    def y(seconds: float) -> float:
        return BOTTOM - math.log10(max(seconds, 1.0)) / decades * (BOTTOM - 16)

    drawn = []
    for power in range(decades + 1):
        drawn.append(el("line", x1=LEFT, x2=WIDTH - 20, y1=y(10**power), y2=y(10**power), class_="grid"))
        label = f"{10**power} s"
        drawn.append(el("text", label, x=LEFT - 8, y=y(10**power) + 4, text_anchor="end", class_="tick"))
    for count in sorted({1, 2, 5, 10, 25, 50, 100, 200}):
        drawn.append(el("line", x1=x(count), x2=x(count), y1=16, y2=BOTTOM, class_="grid"))
        drawn.append(el("text", count, x=x(count), y=BOTTOM + 16, text_anchor="middle", class_="tick"))
    for helper in HELPERS:
        mine = sorted(
            (
                (one.point.networks, one.stairs)
                for one in points
                if one.point.helper == helper and not one.point.sets
            ),
            key=lambda pair: pair[0],
        )
        for which, dash in ((1, ""), (0, "stroke-dasharray:3 5")):
            places = [(x(c), y(t)) for c, s in mine if (t := _times(s)[which]) is not None]
            if not places:
                continue
            line = " L".join(f"{px:.1f} {py:.1f}" for px, py in places)
            style = f"fill:none;stroke-width:2;stroke:{COLOURS[helper]};{dash}"
            drawn.append(el("path", d=f"M{line}", style=style))
            for px, py in places:
                drawn.append(el("circle", cx=px, cy=py, r=4, style=f"fill:{COLOURS[helper]}"))
    return el("svg", *drawn, viewBox=f"0 0 {WIDTH} {HEIGHT}", class_="plot", role="img")


def _times(stairs: Staircase) -> tuple[float | None, float | None, float | None]:
    back = [tenant.answered_s for tenant in stairs.tenants if tenant.answered_s is not None]
    return (back[0] if back else None, back[-1] if back else None, stairs.queue_s)


def main() -> int:
    """Measure what is asked for and not there yet, and write the page."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--networks", default="5,10,25,50", help="numbers of networks")
    parser.add_argument("--helpers", default=",".join(HELPERS), help="root helpers, each with each number")
    parser.add_argument("--set", action="append", default=[], help="a further variable of the topology")
    parser.add_argument("--out", type=Path, default=Path("results/bench-paris"))
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    counts = [int(count) for count in options.networks.split(",") if count]
    helpers = [one for one in options.helpers.split(",") if one]
    for point in (Point(count, helper, tuple(options.set)) for count in counts for helper in helpers):
        folder = options.out / point.name
        if not (folder / "journal.jsonl").exists():
            fail_over(point, folder)
    found = (read(journal.parent) for journal in options.out.glob("*/journal.jsonl"))
    points = sorted(
        (one for one in found if one is not None), key=lambda one: (one.point.networks, one.point.label)
    )
    options.out.mkdir(parents=True, exist_ok=True)
    (options.out / "curve.html").write_text(page(points), encoding="utf-8")
    told = [
        {
            "networks": one.point.networks,
            "helper": one.point.label,
            "first_s": _times(one.stairs)[0],
            "last_s": _times(one.stairs)[1],
            "queue_s": one.stairs.queue_s,
            "commands": one.stairs.commands,
            "command_ms": one.command_ms,
            "dhcpbridge_ms": one.dhcpbridge_ms,
        }
        for one in points
    ]
    lines = [", ".join(_told(key, value) for key, value in row.items()) for row in told]
    finish({"points": told}, [*lines, f"page: {options.out / 'curve.html'}"], as_json=options.json)
    good = all(one.stairs.in_order and not one.stairs.forgotten for one in points)
    return 0 if points and good else 1


def _told(key: str, value: object) -> str:
    return f"{key} {value:.1f}" if isinstance(value, float) else f"{key} {value}"


if __name__ == "__main__":
    sys.exit(main())
