"""How long nova-network's fail-over takes, over the number of networks and over root helpers.

Each point is a whole fail-over: the lab brought up, the active controller's power cut, the lab taken
down. Root, and what `labctl doctor --for paris` asks for. The results stay in a folder; a page with
the curves is written beside them. With `--results` nothing is run: the page is made of what is there.

    bench/paris.py --networks 5,10,25 --helpers rootwrap --networks-for-helpers 5
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from common import finish, labctl

from labctl.report.markup import Markup, el, join
from labctl.report.staircase_data import staircase_of
from labctl.report.style import STYLE
from labctl.scenario.journal import read_journal
from labctl.verdict import judge

if TYPE_CHECKING:
    from collections.abc import Sequence

    from labctl.report.staircase_data import Staircase

ROOT = Path(__file__).parent.parent
TOPOLOGY, SCENARIO = ROOT / "topologies/paris-nova.yml", ROOT / "scenarios/paris-power-off.yml"
HELPERS = ("none", "sudo", "rootwrap-daemon", "rootwrap")
COLOURS = {"none": "#16803c", "sudo": "#1c9aa0", "rootwrap-daemon": "#2457c5", "rootwrap": "#d1242f"}
WIDTH, HEIGHT, LEFT, BOTTOM = 1040, 340, 64, 300


def fail_over(networks: int, helper: str, sets: Sequence[str], out: Path) -> None:
    """Run one point into its folder."""
    words = [word for one in (f"networks={networks}", f"helper={helper}", *sets) for word in ("--set", one)]
    name = ("--name", "bench-paris")
    up = ("up", str(TOPOLOGY), *name, *words, "--runtime", "netns", "--timeout", "900")
    labctl(*up, timeout_s=1000)
    try:
        labctl("run", str(SCENARIO), *name, *words, "--out", str(out), check=False, timeout_s=3600)
    finally:
        labctl("down", "bench-paris")


def read(folder: Path) -> Staircase | None:
    """The staircase of one folder of results."""
    events = read_journal(folder / "journal.jsonl")
    return staircase_of(judge(events), events)


def page(points: Sequence[tuple[int, str, Staircase]]) -> str:
    """The curves and the table, as HTML."""
    head = join(
        el("meta", charset="utf-8"), el("title", "nova-network: the curve"), el("style", Markup(STYLE))
    )
    heads = ("networks", "root helper", "first back", "last back", "queue", "commands", "each")
    rows = [
        (
            str(count),
            helper,
            *(f"{value:.1f} s" if value is not None else "never" for value in _times(stairs)),
            f"{stairs.commands:,}",
            f"{1000 * stairs.command_seconds / max(stairs.commands, 1):.0f} ms",
        )
        for count, helper, stairs in points
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
            if one in {p[1] for p in points}
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


def curve(points: Sequence[tuple[int, str, Staircase]]) -> Markup:
    """Time over networks, a line a helper."""
    import math  # noqa: PLC0415 - beside its only use

    most_s = max((_times(stairs)[1] or 1.0 for _, _, stairs in points), default=10.0)
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
            ((count, stairs) for count, name, stairs in points if name == helper), key=lambda p: p[0]
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
    """Measure what is asked for, and write the page."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--networks", default="5,10,25,50,100", help="numbers of networks, with rootwrap")
    parser.add_argument("--helpers", default=",".join(HELPERS), help="root helpers that are compared")
    parser.add_argument("--networks-for-helpers", type=int, default=10)
    parser.add_argument("--out", type=Path, default=Path("results/bench-paris"))
    parser.add_argument("--results", action="store_true", help="run nothing: make the page again")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    wanted = [(int(count), "rootwrap") for count in options.networks.split(",") if count]
    wanted += [(options.networks_for_helpers, one) for one in options.helpers.split(",") if one]
    points = []
    for count, helper in sorted(set(wanted)):
        folder = options.out / f"n{count}-{helper}"
        if not options.results:
            fail_over(count, helper, (), folder)
        stairs = read(folder) if (folder / "journal.jsonl").exists() else None
        if stairs is not None:
            points.append((count, helper, stairs))
    options.out.mkdir(parents=True, exist_ok=True)
    (options.out / "curve.html").write_text(page(points), encoding="utf-8")
    told = [
        {"networks": c, "helper": h, "first_s": _times(s)[0], "last_s": _times(s)[1], "queue_s": s.queue_s}
        for c, h, s in points
    ]
    lines = [f"{one['networks']:>4} networks, {one['helper']}: {one}" for one in told]
    finish({"points": told}, [*lines, f"page: {options.out / 'curve.html'}"], as_json=options.json)
    good = all(s.in_order and not s.forgotten for _, _, s in points)
    return 0 if points and good else 1


if __name__ == "__main__":
    sys.exit(main())
