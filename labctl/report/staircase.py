"""staircase.html: how a serial controller brought its tenants back, and what took the time.

Written beside report.html where a journal has the controllers' own events.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from labctl.report.markup import Markup, el, join
from labctl.report.staircase_estimate import LEAST_FOR_GROWTH, estimate
from labctl.report.staircase_plot import cost_plot, staircase_plot
from labctl.report.style import STYLE

if TYPE_CHECKING:
    from labctl.report.staircase_data import Staircase
    from labctl.verdict.schema import Result

__all__ = ["STAIRS_STYLE", "section", "staircase_page"]

TALK_NETWORKS = 100
TALK_TOTAL_S = 15 * 60.0
TALK_LATE_S = (6 * 60.0, 7 * 60.0)
"""What the talk tells of its fail-over: about 15 minutes in all, the late tenant after 6 to 7."""

STAIRS_STYLE = """
:root { --work:#2457c5; --out:#e7a6a4; --others:#9aa7bd }
@media (prefers-color-scheme: dark) { :root { --work:#86a8ff; --out:#7c3b3d; --others:#5b6779 } }
svg .out { fill:var(--out) } svg .work { fill:var(--work) }
svg .iptables { fill:var(--work) } svg .others { fill:var(--others) }
.split { display:flex; height:26px; border-radius:6px; overflow:hidden; margin:6px 0 2px }
.split i { display:block }
"""


def staircase_page(result: Result, stairs: Staircase) -> str:
    """The whole page."""
    head = join(
        el("meta", charset="utf-8"),
        el("meta", name="viewport", content="width=device-width, initial-scale=1"),
        el("title", f"{result.name}: the tenants one by one"),
        el("style", Markup(STYLE + STAIRS_STYLE)),
    )
    about = result.about
    meta = " · ".join(
        str(word)
        for word in (
            result.runs[0].started.replace("T", " ")[:19] + " UTC",
            f"runtime {about.get('runtime', 'none')}",
            *(f"{key} {value}" for key, value in about.get("machine", {}).items()),
        )
    )
    body = join(
        el("header", el("h1", f"{result.name}: the tenants one by one")), el("div", meta, class_="meta")
    )
    whole = el("html", el("head", head), el("body", el("main", body, section(stairs))), lang="en")
    return "<!doctype html>\n" + whole + "\n"


def section(stairs: Staircase) -> Markup:
    """Everything of one staircase, to stand on a page."""
    return join(
        _tiles(stairs),
        el("h2", "Each tenant's gateway, in the order of the range"),
        el("div", staircase_plot(stairs), _key(), class_="card"),
        el("h2", "What took the time"),
        el("div", _split(stairs), class_="card"),
        el("h2", "What each network cost, in the order of the range"),
        el("div", cost_plot(stairs), _cost_key(), class_="card"),
        el("h2", "Compared with the talk"),
        _beside(stairs),
    )


def _tiles(stairs: Staircase) -> Markup:
    back = [tenant.answered_s for tenant in stairs.tenants if tenant.answered_s is not None]
    served = f"{len(back)} of {len(stairs.tenants)}"
    order = "in the order of the range" if stairs.in_order else "NOT in the order of the range"
    tiles = [
        (f"{back[0]:.1f} s" if back else "never", "the first tenant's gateway answers"),
        (f"{back[-1]:.1f} s" if back else "never", "the last tenant's gateway answers"),
        (
            f"{stairs.queue_s:.1f} s" if stairs.queue_s is not None else "never",
            "the message queue is connected",
        ),
        (served, f"tenants back, {order}"),
        (f"{stairs.commands:,}", "root commands"),
    ]
    helper = stairs.settings.get("root_helper", "")
    facts = [
        f"{stairs.fault}; {stairs.node} takes over; root helper {helper}",
        ", ".join(
            f"{key}: {_shown(value)}" for key, value in stairs.settings.items() if key != "root_helper"
        ),
        f"segments: {stairs.segment}",
        f"outages are true to ±{1000 * stairs.error_s:.0f} ms",
    ]
    return join(
        el("ul", *(el("li", fact) for fact in facts if fact), class_="reasons"),
        el(
            "div",
            *(el("div", el("b", n), el("span", words), class_="tile") for n, words in tiles),
            class_="tiles",
        ),
    )


def _key() -> Markup:
    return el(
        "div",
        _swatch("--out", "the gateway does not answer"),
        _swatch("--work", "the controller works on this tenant's network"),
        class_="key",
    )


def _cost_key() -> Markup:
    return el(
        "div",
        _swatch("--work", "iptables-save and iptables-restore"),
        _swatch("--others", "all others"),
        class_="key",
    )


def _swatch(colour: str, words: str) -> Markup:
    return el("span", el("i", style=f"background:var({colour})"), words)


_SHADES = ("#2457c5", "#5b8def", "#16803c", "#b26a00", "#8b5cf6", "#8b93a0", "#d1242f", "#1c9aa0")


def _split(stairs: Staircase) -> Markup:
    between = (stairs.networks_s or 0.0) - (stairs.read_s or 0.0)
    rest = max(between - sum(kind.seconds for kind in stairs.kinds), 0.0)
    rows = [(kind.name, kind.count, kind.seconds) for kind in stairs.kinds]
    rows.append(("everything else (Python, files, locks)", 0, rest))
    total = sum(seconds for _, _, seconds in rows) or 1.0
    bars = [
        el(
            "i",
            style=f"width:{100 * seconds / total:.2f}%;background:{_SHADES[at % len(_SHADES)]}",
            title=name,
        )
        for at, (name, _, seconds) in enumerate(rows)
    ]
    heads = ["kind of command", "how many", "seconds", "share", "milliseconds each"]
    body = [
        el(
            "tr",
            el("td", el("i", style=_square(at)), name),
            el("td", f"{count:,}" if count else ""),
            el("td", f"{seconds:.2f}"),
            el("td", f"{seconds / total:.1%}"),
            el("td", f"{1000 * seconds / count:.2f}" if count else ""),
        )
        for at, (name, count, seconds) in enumerate(rows)
    ]
    table = el("table", el("thead", el("tr", *(el("th", head) for head in heads))), el("tbody", *body))
    return join(el("div", *bars, class_="split"), table)


def _square(at: int) -> str:
    shade = _SHADES[at % len(_SHADES)]
    return (
        f"display:inline-block;width:11px;height:11px;border-radius:2px;margin-right:7px;background:{shade}"
    )


def _beside(stairs: Staircase) -> Markup:
    """The estimate for the talk's number of networks, and why it is not the talk's number."""
    count = len(stairs.tenants)
    each = stairs.command_seconds / stairs.commands if stairs.commands else 0.0
    took = (stairs.networks_s or 0.0) - (stairs.read_s or 0.0)
    talk_commands = TALK_NETWORKS * stairs.commands / count if count else 0.0
    talk_each = TALK_TOTAL_S / talk_commands if talk_commands else 0.0
    here = (
        f"Here: {stairs.commands:,} commands of {1000 * each:.0f} ms on average for {count} networks,"
        f" {took:.0f} s in all. The number depends on this machine and on what else ran on it."
    )
    lines = [here]
    if count == TALK_NETWORKS:
        lines.append("That is the talk's number of networks: measured, not estimated.")
    lines += _estimated(stairs, count)
    lines.append(
        f"The talk: about {TALK_TOTAL_S / 60:.0f} minutes in all. Were all of it"
        f" {talk_commands:,.0f} root commands, as many a network as here, it were"
        f" {1000 * talk_each:.0f} ms a command: what a root helper that starts Python anew cost on the"
        " machines and with the Python of its time."
    )
    lines.append(_DIFFERENCE.format(low=TALK_LATE_S[0] / 60, high=TALK_LATE_S[1] / 60))
    return el("ul", *(el("li", line) for line in lines), class_="reasons")


def _estimated(stairs: Staircase, count: int) -> list[str]:
    """What the run says of the talk's number of networks, and of the place of its late tenant."""
    guess = estimate(stairs, TALK_NETWORKS)
    if guess is None:
        return []
    lines = []
    if count != TALK_NETWORKS:
        grown = (
            f" With the cost growing along the range as it did here ({1000 * guess.growth_s:.0f} ms more each"
            f" network): {_minutes(guess.growing_s[-1])}."
            if guess.growing_s
            else f" How fast that grows, fewer than {LEAST_FOR_GROWTH} networks do not tell."
        )
        lines.append(
            f"For {TALK_NETWORKS} networks at the same cost each: {_minutes(guess.flat_s[-1])}. That is a"
            f" lower bound: every apply rewrites all rules, so that iptables grows with the range.{grown}"
        )
    first, last = guess.places(*TALK_LATE_S, TALK_TOTAL_S)
    low, high, whole = (seconds / 60 for seconds in (*TALK_LATE_S, TALK_TOTAL_S))
    lines.append(
        f"Stretched to the talk's {whole:.0f} minutes, who answers after {low:.0f} to {high:.0f} minutes"
        f" stands at place {first} to {last} of {TALK_NETWORKS}."
    )
    return lines


def _shown(value: object) -> str:
    """A setting: yes or no, or what it is."""
    return ("yes" if value else "no") if isinstance(value, bool) else str(value)


def _minutes(seconds: float) -> str:
    return f"{seconds:.0f} s ({seconds / 60:.1f} min)"


_DIFFERENCE = (
    "The talk's late tenant answered after {low:.0f} to {high:.0f} minutes. Its place in the range is not"
    " told, nor how long the cluster manager took to stop one service, to fence, and to start the other, nor"
    " how often the queue was tried (1 s, doubling to 60 s). Here a tenant answers when its gateway has its"
    " address, after about 60 % of its commands, and the queue follows the last tenant at once, since the"
    " broker has been there all the time. What those parts took of the 15 minutes this lab cannot say."
)
