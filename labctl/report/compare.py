"""compare.html: several results on one page, a table and plots on the same axes."""

from __future__ import annotations

from typing import TYPE_CHECKING

from labctl.report.compare_data import quantile
from labctl.report.compare_plot import COLOURS, quantile_plot, share_plot
from labctl.report.markup import Markup, el, join
from labctl.report.staircase import STAIRS_STYLE, section
from labctl.report.style import STYLE
from labctl.report.words import count, span

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from labctl.report.compare_data import Design
    from labctl.report.staircase_data import Staircase

__all__ = ["HEADS", "compare_page", "rows"]

COMPARE_STYLE = """
th { white-space:normal }
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
    "p95",
    "longest",
    "in flight",
    "repair",
    "at returns",
    "elsewhere",
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
            _outage(quantile(design, 1.0), design),
            count(design.in_flight),
            count(design.repair),
            count(design.at_return),
            count(design.elsewhere),
        )
        for design in designs
    ]


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
    key = el("div", *(_swatch(at, design.name) for at, design in enumerate(designs)), class_="key")
    body = join(
        el("header", el("h1", "Fail-over, design by design")),
        el("div", "Everything here is measured, and made from the results' journals alone.", class_="meta"),
        el("div", _table(designs), class_="card", style="margin-top:18px"),
        el("h2", "Flows without service, over the time since the fault"),
        el("div", share_plot(designs), key, class_="card"),
        el("h2", "Share of flows whose longest outage was no longer than this"),
        el("div", quantile_plot(designs), key, class_="card"),
        el("h2", "What is compared"),
        _facts(designs),
        *(
            join(el("h1", f"{name}: the tenants one by one", style="margin-top:44px"), section(one))
            for name, one in stairs.items()
        ),
    )
    whole = el("html", el("head", head), el("body", el("main", body)), lang="en")
    return "<!doctype html>\n" + whole + "\n"


def _outage(seconds: float, design: Design) -> str:
    if not seconds:
        return f"none (< {span(int(design.error_s * 1e9))})"
    return span(int(seconds * 1e9))


def _swatch(at: int, name: str) -> Markup:
    return el("span", el("i", style=f"background:{COLOURS[at % len(COLOURS)]}"), name)


def _table(designs: Sequence[Design]) -> Markup:
    body = []
    for at, row in enumerate(rows(designs)):
        first = el("td", _swatch(at, row[0]), class_="key", style="display:table-cell;color:var(--fg)")
        body.append(el("tr", first, *(el("td", cell) for cell in row[1:])))
    heads = el("tr", *(el("th", name) for name in HEADS))
    return el("table", el("thead", heads), el("tbody", *body))


def _facts(designs: Sequence[Design]) -> Markup:
    lines = [
        f"{design.name}: {design.topology}; {count(design.sent)} packets, verdict of its own scenario"
        f" {design.verdict}; outages true to ±{span(int(design.error_s * 1e9))}"
        for design in designs
    ]
    lines.append(
        "Flows counts every flow of every stream once a fail-over, also those that did not cross the victim."
        " Packets lost in flight: inside the dying node while the cut took effect; to repair: all others that"
        " fail-overs account for; elsewhere: before any fault, or long after one."
    )
    return el("ul", *(el("li", line) for line in lines), class_="reasons")
