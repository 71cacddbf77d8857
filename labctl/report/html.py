"""report.html: one file, opens offline, asks nobody for anything.

Drawings are SVG made here: a few kilobytes, where a charting library would bring megabytes and a
script to run before anything is seen.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from labctl.report.format import bar, count, fault_name, rate_bound, series_lines
from labctl.report.headline import NOT_JUDGED, loss_judged, sentence, unjudged_losses
from labctl.report.markup import Markup, el, join
from labctl.report.style import STYLE
from labctl.report.tables import action_table, expectation_table, flow_table, run_table, stream_table
from labctl.report.timeline_plot import NARROW, timeline_plot
from labctl.report.topology_plot import MOST_NODES, topology_plot
from labctl.report.zoom_plot import zoom_plots
from labctl.verdict.schema import Verdict

if TYPE_CHECKING:
    from labctl.verdict.schema import Result, RunResult

__all__ = ["page"]

MOST_TIMELINES = 60


def page(result: Result) -> str:
    """The whole page."""
    body = join(
        _head(result),
        _tiles(result),
        _first_screen(result),
        _timeline(result),
        _zooms(result),
        _runs(result),
        _details(result),
        _facts(result),
    )
    head = join(
        el("meta", charset="utf-8"),
        el("meta", name="viewport", content="width=device-width, initial-scale=1"),
        el("title", f"{result.verdict}: {result.name}"),
        el("style", Markup(STYLE)),
    )
    return "<!doctype html>\n" + el("html", el("head", head), el("body", el("main", body)), lang="en") + "\n"


def _head(result: Result) -> Markup:
    about = result.about
    runs = f"{len(result.runs)} of {result.runs_asked} runs" if result.runs_asked > 1 else "one run"
    started = result.runs[0].started.replace("T", " ").split("+")[0][:19]
    meta = f"{started} UTC · {runs} · seed {about.get('seed')} · runtime {about.get('runtime', 'none')}"
    reasons = None
    if result.verdict != Verdict.PASS and len(result.reasons) > 1:
        reasons = el("ul", *(el("li", reason) for reason in result.reasons[1:12]), class_="reasons")
    losses = unjudged_losses(result)
    # What was found good must not seem to cover a loss that nothing was expected of.
    plain = result.verdict == Verdict.PASS and any(one.counts for one in losses)
    return join(
        el(
            "header",
            el("span", str(result.verdict), class_=f"verdict {'plain' if plain else result.verdict}"),
            el("span", NOT_JUDGED, class_="verdict plain") if plain else None,
            el("h1", result.name),
        ),
        el("div", meta, class_="meta"),
        el("p", _sentence(sentence(result)), class_="lead"),
        el("p", el("b", f"{NOT_JUDGED}: "), ", ".join(map(str, losses)), class_="unjudged")
        if losses
        else None,
        *(el("p", line, class_="unjudged") for line in result.retries),
        reasons,
    )


def _sentence(text: str) -> str:
    return text if text.endswith((".", ")")) else f"{text}."


def _first_screen(result: Result) -> Markup:
    """Expectations, and the lab with its victims, side by side where there is room."""
    expectations = el(
        "section",
        el("h2", "Expectations"),
        el("div", expectation_table(result), class_="card"),
    )
    return el("div", expectations, _lab(result), class_="first")


def _lab(result: Result) -> Markup | None:
    drawn = topology_plot(result)
    if drawn is None:
        return None
    drawing, nodes = drawn
    card = el("div", drawing, class_="card")
    if nodes > MOST_NODES:
        return el("section", el("h2", "Lab"), el("details", el("summary", f"{nodes} nodes"), card))
    return el("section", el("h2", "Lab and what failed"), card)


def _tiles(result: Result) -> Markup | None:
    streams = [stream for run in result.runs for stream in run.judged]
    if not streams:
        return None
    worst = max(streams, key=lambda stream: stream.longest_outage_ns)
    flight, lost = sum(one.in_flight for one in streams), sum(one.convergence_loss for one in streams)
    uncovered = any(one.counts for one in unjudged_losses(result))
    kinds = ("", "") if uncovered else ("warn" if flight else "", "bad" if lost else "good")
    remark = f", {NOT_JUDGED}" if uncovered else ""
    still = ", not over at the end" if worst.open else ""
    tiles = [
        _tile(count(sum(stream.sent for stream in streams)), "packets sent"),
        _tile(count(flight), "lost in flight at a cut", kinds[0]),
        _tile(count(lost), f"lost to convergence{remark}", kinds[1]),
        _tile(bar(worst.longest_outage_ns, worst.error_ns), f"longest outage of any flow{still}{remark}"),
    ]
    if result.failovers.trials:
        lossy = f"{result.failovers.lossy_convergence} of {result.failovers.trials}"
        bound = rate_bound(result.failovers.bound_convergence)
        tiles.append(_tile(lossy, f"fail-overs with convergence loss; {bound}"))
    return el("div", *tiles, class_="tiles")


def _tile(number: str, words: str, kind: str = "") -> Markup:
    main, sign, rest = number.partition(" ±")
    return el(
        "div",
        el("b", main, el("small", sign + rest) if sign else None, class_=kind or None),
        el("span", words),
        class_="tile",
    )


def _worst(result: Result) -> RunResult:
    """The run that is shown first: the one that lost most to convergence, then in flight."""
    return max(
        result.runs,
        key=lambda run: (
            sum(stream.convergence_loss for stream in run.judged),
            sum(stream.in_flight for stream in run.judged),
            -run.run,
        ),
    )


def _timeline(result: Result) -> Markup:
    worst = _worst(result)
    several = len(result.runs) > 1
    title = f"Losses over time: run {worst.run}, which lost most" if several else "Losses over time"
    key = el(
        "div",
        _key("var(--bad)", "lost to convergence"),
        _key("var(--flight)", "lost in flight"),
        _key("var(--quiet)", "lost, not judged"),
        _key("var(--off)", "without power or carrier"),
        el("span", "a row is a flow; marks are drawn five pixels wide at least"),
        class_="key",
    )
    others = [run for run in result.runs if run is not worst][:MOST_TIMELINES]
    judged = loss_judged(result)
    more = None
    if others:
        more = el(
            "details",
            el("summary", f"the other {len(others)} runs"),
            *(
                join(
                    el("h2", f"run {run.run}: {run.verdict}"),
                    el("div", timeline_plot(run, judged), class_="card"),
                )
                for run in others
            ),
        )
    drawings = (
        el("div", timeline_plot(worst, judged), class_="wide"),
        el("div", timeline_plot(worst, judged, width=NARROW), class_="narrow"),
    )
    # A narrow drawing has no room for the actions' names.
    names = " · ".join(f"{fault.index + 1} {fault_name(fault)}" for fault in worst.faults)
    legend = el("div", names, class_="muted narrow")
    return join(el("h2", title), el("div", *drawings, legend, key, class_="card"), more)


def _key(colour: str, words: str) -> Markup:
    return el("span", el("i", style=f"background:{colour}"), words)


def _zooms(result: Result) -> Markup | None:
    plots = zoom_plots(result, loss_judged(result))
    if not plots:
        return None
    key = el(
        "div",
        _key(
            "var(--flight)",
            "shaded: possibly in flight, by time; captures on the links decide where they exist",
        ),
        class_="key",
    )
    return join(el("h2", "Each fault, close up"), el("div", *plots, class_="zooms"), key)


def _runs(result: Result) -> Markup | None:
    if len(result.runs) == 1 and not result.failovers.trials:
        return None
    lines = el("ul", *(el("li", line) for line in series_lines(result)), class_="reasons")
    table = el("div", run_table(result), class_="card") if len(result.runs) > 1 else None
    return join(el("h2", "Over all fail-overs"), lines, table)


def _details(result: Result) -> Markup:
    return join(
        el("h2", "Streams"),
        el("div", stream_table(result), class_="card"),
        el("h2", "Actions"),
        el("div", action_table(result), class_="card"),
        el(
            "details",
            el("summary", "every flow that lost a packet"),
            el("div", flow_table(result), class_="card"),
        ),
    )


def _facts(result: Result) -> Markup:
    about = result.about
    scenario, topology = about.get("scenario", {}), about.get("topology", {})
    sets = [word for one in topology.get("sets", []) for word in ("--set", one)]
    again = ["labctl", "run", scenario.get("path", ""), "--seed", str(about.get("seed")), *sets]
    again += ["--runs", str(result.runs_asked)] if result.runs_asked > 1 else []
    facts = {**about.get("machine", {}), **about.get("versions", {}), "runtime": about.get("runtime", "")}
    return join(
        el("h2", "To reproduce"),
        el("pre", " ".join(again)),
        el("dl", *(join(el("dt", key), el("dd", value)) for key, value in facts.items() if value != "")),
        el("details", el("summary", "scenario"), el("pre", scenario.get("text", ""))),
        el("details", el("summary", "topology"), el("pre", topology.get("text", ""))),
        el("details", el("summary", "definition that ran"), el("pre", about.get("definition", "")))
        if about.get("definition")
        else None,
        el("details", el("summary", "planned lab"), el("pre", json.dumps(about.get("lab", {}), indent=1))),
    )
