"""compare.html: several results on one page, a table and plots on the same axes."""

from __future__ import annotations

from typing import TYPE_CHECKING

from labctl.report.compare_data import quantile, shared
from labctl.report.compare_plot import COLOURS, flow_plot, quantile_plot, share_plot
from labctl.report.format import count, rate_bound, span
from labctl.report.markup import Markup, el, join
from labctl.report.staircase import STAIRS_STYLE, section
from labctl.report.style import STYLE

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from labctl.report.compare_data import Design, SharedStream
    from labctl.report.staircase_data import Staircase

__all__ = ["HEADS", "compare_page", "opening", "rows", "run_facts"]

COMPARE_STYLE = """
th { white-space:normal; vertical-align:bottom }
td.wrap { white-space:normal; overflow-wrap:anywhere; vertical-align:top }
td.name { vertical-align:top }
:root { --c0:#d1242f; --c1:#b26a00; --c2:#16803c; --c3:#2457c5; --c4:#8b5cf6; --c5:#6a6f76 }
@media (prefers-color-scheme: dark) {
  :root { --c0:#ff6b6b; --c1:#e3a73f; --c2:#4cc27a; --c3:#86a8ff; --c4:#b794f6; --c5:#9aa1aa }
}
"""

HEADS = (
    "design",
    "fail-overs",
    "flows hit",
    "outage p50",
    "outage p95",
    "longest outage",
    "lost in flight",
    "lost to convergence",
    "reversion loss",
    "lost elsewhere",
)


def rows(designs: Sequence[Design]) -> list[tuple[str, ...]]:
    """The table, in words: one row a design, as :data:`HEADS`."""
    return [
        (
            design.name,
            str(design.failovers),
            f"{design.hit / design.flows:.1%} of {count(design.flows)}" if design.flows else "none",
            _outage(quantile(design, 0.5), design),
            _outage(quantile(design, 0.95), design),
            _longest(design),
            count(design.in_flight),
            count(design.convergence_loss),
            count(design.at_return),
            count(design.elsewhere),
        )
        for design in designs
    ]


def opening(designs: Sequence[Design]) -> str:
    """The comparison in one sentence: what each design lost to convergence, and for how long it was out."""
    return "; ".join(map(_in_short, designs)) + "."


def _in_short(design: Design) -> str:
    lost = f"{count(design.convergence_loss)} packets lost to convergence"
    if not design.failovers:
        return f"{design.name}: no fail-over"
    over = f"{count(design.failovers)} fail-over{'' if design.failovers == 1 else 's'}"
    return f"{design.name}: {lost} at {over}, longest outage {_longest(design)}"


def compare_page(designs: Sequence[Design], stairs: Mapping[str, Staircase]) -> str:
    """The whole page.

    Args:
        designs: in the order of the page.
        stairs: of the designs that have one, by name.
    """
    title = " · ".join(design.name for design in designs)
    head = join(
        el("meta", charset="utf-8"),
        el("meta", name="viewport", content="width=device-width, initial-scale=1"),
        el("title", f"Compared: {title}"),
        el("style", Markup(STYLE + STAIRS_STYLE + COMPARE_STYLE)),
    )
    key = _key(designs)
    body = join(
        el("header", el("h1", "Fail-over, design by design")),
        el("p", opening(designs), class_="lead"),
        el("div", _machines(designs), class_="meta"),
        el("div", _table(designs), class_="card", style="margin-top:18px"),
        el("p", _TABLE_WORDS, class_="meta"),
        el("h2", "Flows without service, over the time since the fault"),
        el("div", share_plot(designs), key, class_="card"),
        _streams(designs),
        el("h2", "Share of all flows whose longest outage was no longer than this"),
        el("div", quantile_plot(designs), key, class_="card"),
        el("h2", "What was run"),
        el("div", _runs(designs), class_="card"),
        *(
            join(el("h1", f"{name}: the tenants one by one", style="margin-top:44px"), section(one))
            for name, one in stairs.items()
        ),
    )
    whole = el("html", el("head", head), el("body", el("main", body)), lang="en")
    return "<!doctype html>\n" + whole + "\n"


_TABLE_WORDS = (
    "Flows: every flow that crossed the victim or was hit, once a fail-over, of the streams that the scenario"
    " judges. Packets"
    " lost in flight: on the victim's links or inside it when it failed; to convergence: every other loss"
    " attributed to a fail-over; reversion loss: after the node came back; elsewhere: before any fault or"
    " long after one. Every figure is measured and follows from the results' journals alone."
)


def _machines(designs: Sequence[Design]) -> str:
    """Where it was measured: once, if it was one machine."""
    told = {design.name: _machine(design) for design in designs}
    if len(set(told.values())) == 1:
        return next(iter(told.values()))
    return " | ".join(f"{name}: {where}" for name, where in told.items())


def _machine(design: Design) -> str:
    facts = design.machine
    words = (
        f"{facts['cpus']} x {facts.get('cpu') or 'processor'}" if facts.get("cpus") else "",
        f"{facts['memory_mib'] / 1024:.1f} GiB" if facts.get("memory_mib") else "",
        f"kernel {facts['kernel']}" if facts.get("kernel") else "",
        str(facts.get("distribution", "")),
        f"runtime {facts['runtime']}" if facts.get("runtime") else "",
    )
    return ", ".join(word for word in words if word)


def _streams(designs: Sequence[Design]) -> Markup | None:
    """What all designs have alike, stream by stream; nothing where they share no stream."""
    names = shared(designs)
    if len(designs) == 1 or not names:
        return None
    heads = el("tr", el("th", "stream"), *(el("th", _swatch(at, one.name)) for at, one in enumerate(designs)))
    body = [
        el(
            "tr",
            el("td", el("b", name), el("span", f"  {_shape(designs[0].streams[name])}", class_="muted")),
            *(el("td", _stream_outage(design.streams[name])) for design in designs),
        )
        for name in names
    ]
    many = [name for name in names if len(designs[0].streams[name].flows) > 1]
    return join(
        el("h2", "The same streams, design by design: longest outage"),
        el("div", el("table", el("thead", heads), el("tbody", *body)), class_="card"),
        *(
            join(
                el("h2", f"{name}: longest outage of each flow, in the order of the flows"),
                el("div", flow_plot(designs, name), _key(designs), class_="card"),
            )
            for name in many
        ),
    )


def _shape(stream: SharedStream) -> str:
    proto, rate, size, flows = stream.shape
    return f"{proto}, {flows} flow{'' if flows == 1 else 's'}, {rate:g} packets/s of {size} bytes"


def _stream_outage(stream: SharedStream) -> str:
    error = span(int(stream.error_s * 1e9))
    longest = stream.longest
    if not stream.hit:
        return f"none (< {error})"
    told = "never back" if longest.open else f"{span(int(longest.seconds * 1e9))} ± {error}"
    return told if len(stream.flows) == 1 else f"{stream.hit} of {len(stream.flows)}: {told}"


def _runs(designs: Sequence[Design]) -> Markup:
    """What it takes to do it again, and what the number of fail-overs can tell."""
    body = []
    for at, (design, facts) in enumerate(zip(designs, run_facts(designs), strict=True)):
        first = el(
            "td", _swatch(at, design.name), class_="key name", style="display:table-cell;color:var(--fg)"
        )
        body.append(el("tr", first, *(el("td", value, class_="wrap left") for value in facts.values())))
    heads = el("tr", el("th", "design"), *(el("th", name, class_="left") for name in run_facts(designs)[0]))
    return el("table", el("thead", heads), el("tbody", *body))


def run_facts(designs: Sequence[Design]) -> list[dict[str, str]]:
    """What was run, in words: for each design by name of the fact."""
    return [_run_facts(design) for design in designs]


def _run_facts(design: Design) -> dict[str, str]:
    path = design.topology.split(" ")[0]
    variables = (f"{key}={value}" for key, value in design.variables.items())
    runs = f"{design.runs} run{'' if design.runs == 1 else 's'}, seed {design.seed}"
    bound = rate_bound(design.bound_convergence)
    return {
        "topology": " ".join((path, *variables)),
        "fault": f"{', '.join(design.faults) or 'none'}; {runs}, {design.started.replace('T', ' ')[:16]} UTC",
        "fail-overs with convergence loss": f"{design.lossy_convergence} of {design.trials}; {bound}",
        "packets": f"{count(design.sent)}; outages measured to ±{span(int(design.error_s * 1e9))}",
        "verdict of its scenario": design.verdict,
    }


def _longest(design: Design) -> str:
    longest = _outage(quantile(design, 1.0), design)
    return f"{longest}, not over" if any(one.open for one in design.outages) else longest


def _outage(seconds: float, design: Design) -> str:
    if not seconds:
        return f"none (< {span(int(design.error_s * 1e9))})"
    return span(int(seconds * 1e9))


def _key(designs: Sequence[Design]) -> Markup:
    return el("div", *(_swatch(at, design.name) for at, design in enumerate(designs)), class_="key")


def _swatch(at: int, name: str) -> Markup:
    return el("span", el("i", style=f"background:{COLOURS[at % len(COLOURS)]}"), name)


def _table(designs: Sequence[Design]) -> Markup:
    body = []
    for at, row in enumerate(rows(designs)):
        first = el("td", _swatch(at, row[0]), class_="key", style="display:table-cell;color:var(--fg)")
        body.append(el("tr", first, *(el("td", cell) for cell in row[1:])))
    heads = el("tr", *(el("th", name) for name in HEADS))
    return el("table", el("thead", heads), el("tbody", *body))
