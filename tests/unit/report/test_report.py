"""Every form of a report, made from journals of fake labs."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from html.parser import HTMLParser
from typing import TYPE_CHECKING
from xml.etree import ElementTree as ET

import pytest
from acts import act
from make_believe import SECOND
from rich.console import Console
from rich.text import Text

from labctl.errors import InputError
from labctl.report.format import percent_above, series_lines
from labctl.report.html import page
from labctl.report.junit import junit_xml
from labctl.report.markdown import summary_markdown
from labctl.report.markup import Markup, el, join
from labctl.report.progress import ProgressLines
from labctl.report.terminal import Wrapped, summary
from labctl.report.write import judge_folder, write_report
from labctl.scenario.model import Expectation, Step
from labctl.testing.series import FakeSource
from labctl.verdict import Verdict, judge

if TYPE_CHECKING:
    from pathlib import Path

    from make_believe import Bench

    from labctl.verdict import Result

NASTY = '<script>alert("x")</script> & | ]]> \x01'


def text_of(result: Result, width: int = 100) -> str:
    console = Console(width=width, no_color=True)
    with console.capture() as capture:
        console.print(summary(result))
    return capture.get()


class _Checker(HTMLParser):
    """Sees that elements close in order, and remembers what a browser would fetch or run."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.fetched: list[str] = []
        self.tags: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.fetched += [
            value or "" for name, value in attrs if name in ("src", "href", "data", "action", "xlink:href")
        ]
        if tag != "meta":
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.handle_starttag(tag, attrs)
        if tag != "meta":
            self.open.pop()

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


def checked(html: str) -> _Checker:
    checker = _Checker()
    checker.feed(html)
    assert not checker.open
    return checker


def test_the_terminal_tells_losses_apart_and_why(bench: Bench) -> None:
    bench.onto_link_ms = 1.9
    told = text_of(bench.lose(0, 40).judge())
    stream = bench.judge().runs[0].streams[0]
    assert stream.in_flight > 0
    assert re.search(rf"in +ext1→srv1 +[\d,]+ +{stream.in_flight} +{stream.convergence_loss} ", told)
    assert "FAIL  convergence-loss: all, packets: 0:" in told
    assert "1 fail-over: 1 with loss, 1 with convergence loss" in told


def test_the_terminal_keeps_within_80_columns_without_cutting_anything(bench: Bench) -> None:
    told = text_of(bench.lose(0, 40).judge(runs=3), width=80)
    assert "…" not in told
    assert all(len(line) <= 80 for line in told.splitlines())


@pytest.mark.parametrize("width", range(16, 60))
def test_no_line_ends_between_a_number_and_its_unit(width: int) -> None:
    told = (
        "4 fail-overs bound the rate below 53 % (95 % confidence); 21.3 ± 21.3 ms, none (< 64 µs), 2 m, 3 s"
    )
    console = Console(width=width, no_color=True)
    with console.capture() as capture:
        console.print(Wrapped(Text(told)))
    lines = [line.rstrip() for line in capture.get().splitlines()]
    assert " ".join(lines) == told
    assert not [line for line in lines if re.match(r"(%|±|ms|µs|m|s)\b|%|±", line)]
    assert not [line for line in lines if line.endswith("±")]


@pytest.mark.parametrize(
    ("runs", "line"),
    [
        (1, "1 fail-over bounds the failure rate below 95 % (95 % confidence); 59 bound it below 5 %"),
        (4, "4 fail-overs bound the failure rate below 53 % (95 % confidence); 59 bound it below 5 %"),
    ],
)
def test_a_series_without_loss_says_what_it_bounds_and_how_many_would_bound_it_below_5_percent(
    bench: Bench, runs: int, line: str
) -> None:
    assert line in series_lines(bench.judge(runs=runs))


def test_a_series_with_loss_does_not_say_how_many_without_one_it_would_take(bench: Bench) -> None:
    told = series_lines(bench.lose(0, 300).judge(runs=2))
    assert not [line for line in told if "bound" in line and "fail-over" in line]


@pytest.mark.parametrize(
    ("share", "text"), [(0.5271, "53 %"), (0.53, "53 %"), (0.0368, "3.7 %"), (0.999, "100 %"), (0.1, "10 %")]
)
def test_an_upper_bound_is_never_rounded_down(share: float, text: str) -> None:
    assert percent_above(share) == text


def test_null_trials_are_shown(bench: Bench) -> None:
    bench.backend.crossing = {"gw1": {"in": set(), "out": set()}}
    result = bench.judge()
    assert "null trial" in text_of(result)
    assert "null trial" in page(result)
    assert "null trial" in junit_xml(result)


def test_the_page_fetches_nothing_and_runs_nothing(bench: Bench) -> None:
    html = page(bench.lose(0, 40).judge(runs=3))
    checker = checked(html)
    assert checker.fetched == []
    assert not {"script", "link", "img", "iframe", "object", "embed"} & set(checker.tags)
    assert "url(" not in html
    assert "@import" not in html
    assert len(html) < 400_000


MARK = re.compile(
    r'<rect x="[^"]*" y="[^"]*" width="[^"]*" height="[^"]*" class="(lost|flight|quiet)"><title>'
)


def test_the_page_draws_every_loss_in_its_kind(bench: Bench) -> None:
    bench.onto_link_ms = 1.9
    html = page(bench.lose(0, 40).judge())
    run = bench.judge().runs[0]
    losses = [loss for stream in run.streams for flow in stream.flows for loss in flow.losses]
    wide, narrow = html.split('<div class="wide">')[1].split('<div class="narrow">')
    for drawing in (wide, narrow):
        drawn = MARK.findall(drawing)
        assert len(drawn) == len(losses) > 0
        assert drawn.count("lost") == sum(loss.convergence_loss > 0 for loss in losses)


def test_a_stream_that_is_not_judged_is_never_red(bench: Bench) -> None:
    bench.expect = (Expectation("convergence-loss", streams=("out",), packets=0, text="out only"),)
    result = bench.lose(0, 900).judge()
    assert result.verdict == Verdict.PASS
    html = page(result)
    assert set(MARK.findall(html)) == {"quiet"}
    assert 'class="bad"' not in html
    assert "measured, not judged: </b>in (576 lost to convergence, outage 900 ± 12.5 ms)" in html
    assert '<span class="verdict PASS">' in html, "what is judged is good"
    assert html.index(">out</tspan>") < html.index(">in</tspan>"), "the judged streams come first"


@pytest.mark.parametrize(
    "expected",
    [
        Expectation("duplicated", packets=0, text="duplicated: all, packets: 0"),
        Expectation("convergence-loss", packets=0, off_path=True, text="convergence-loss: off-path"),
    ],
)
def test_an_outage_that_nothing_was_expected_of_is_not_a_green_pass(
    bench: Bench, expected: Expectation
) -> None:
    bench.expect = (expected,)
    if expected.off_path:
        bench.backend.crossing = {"gw1": {"in": {0, 1}, "out": {0, 1}}}
    result = bench.lose(0, 900, flows={0, 1}).judge()
    assert result.verdict == Verdict.PASS
    html = page(result)
    assert 'class="verdict PASS"' not in html
    assert '<span class="verdict plain">measured, not judged</span>' in html
    assert "lost to convergence, measured, not judged" in html
    assert 'class="good">0' not in html
    assert "measured, not judged: in (144 lost to convergence" in " ".join(text_of(result).split())
    assert "measured, not judged: in (144 lost to convergence" in summary_markdown(result)


def test_a_lane_without_loss_is_folded(bench: Bench) -> None:
    html = page(bench.lose(0, 900).judge())
    heights = re.findall(r'<rect x="8" y="[^"]*" width="1264" height="([^"]*)" class="lane"/>', html)
    assert heights == ["26", "8"]


def test_the_lab_is_drawn_with_what_failed_in_it(bench: Bench) -> None:
    bench.timeline = (Step(0, act("power-off", ("gw1",), "freeze"), at_ns=SECOND),)
    html = page(bench.judge())
    (victim,) = re.findall(r'<g class="[^"]*victim"><title>([^ <]*)', html)
    assert victim == "gw1"
    assert ">power-off (freeze)</text>" in html


def test_a_zoom_shows_the_whole_outage_and_names_its_zero_as_what_it_was(bench: Bench) -> None:
    bench.timeline = (
        Step(0, act("node-blackhole", ("gw1",)), at_ns=2 * SECOND),
        Step(1, act("node-restore", ("gw1",)), at_ns=12 * SECOND),
    )
    html = page(bench.lose(0, 9000, step="node-blackhole gw1").judge())
    zoom = html.split("<figure>")[1].split("</figure>")[0]
    assert "last carrier lost" not in zoom
    assert "the fault begins" in zoom
    assert ">8 s</text>" in zoom, "drawn to its end, nine seconds after the fault"


@pytest.mark.parametrize(("stall_ms", "told"), [(0, "6.56 ms"), (400, "402 ms")])
def test_the_longest_departure_gap_stands_beside_each_fault(bench: Bench, stall_ms: int, told: str) -> None:
    """Else '0 lost' is told of a moment at which nothing left."""
    events = list(bench.seen())
    cut = next(event.t_ns for event in events if event.kind == "action.done")
    for index, event in enumerate(events):
        if event.kind == "tally" and stall_ms:
            health = {**event.data["generator"], "pauses": [[cut - 1_000_000, stall_ms * 1_000_000]]}
            events[index] = replace(event, data={**event.data, "generator": health})
    result = judge(events)
    assert f"departures of each judged stream at the faults at most {told} apart" in text_of(result)
    assert f'<td data-head="departure gap">≤ {told}</td>'.replace(" ms", "\u00a0ms") in page(result)


def test_a_table_names_each_value_for_a_narrow_screen_and_leaves_out_what_is_always_zero(
    bench: Bench,
) -> None:
    html = page(bench.lose(0, 40).judge())
    assert '<td data-head="longest outage">' in html
    assert "reord." not in html
    assert "12.5\u00a0ms" in html, "no line ends between a number and its unit"


def test_what_users_write_is_escaped_everywhere(bench: Bench) -> None:
    bench.expect = (Expectation("convergence-loss", packets=0, text=NASTY),)
    bench.backend.never_ready = frozenset({"gw1"})
    result = bench.judge()
    assert "<script>" not in page(result)
    checked(page(result))
    assert "<script>" not in summary_markdown(result)
    ET.fromstring(junit_xml(result))  # noqa: S314 - our own
    text_of(result)


def test_junit_has_a_case_for_each_expectation_and_action(bench: Bench) -> None:
    root = ET.fromstring(junit_xml(bench.lose(0, 40).judge(runs=2)))  # noqa: S314 - our own
    (suite,) = root
    names = [case.get("name") for case in suite]
    assert names == ["convergence-loss: all, packets: 0", *["1 power-off gw1", "2 power-on gw1"] * 2]
    assert suite.get("tests") == "5"
    assert suite.get("failures") == "1"
    assert suite.get("errors") == "0"


@pytest.mark.parametrize("what", ["error", "inconclusive", "nothing expected"])
def test_junit_never_shows_green_for_what_did_not_pass(bench: Bench, what: str) -> None:
    if what == "error":
        bench.backend.never_ready = frozenset({"gw1"})
    elif what == "inconclusive":
        bench.backend.crossing = {"gw1": {"in": set(), "out": set()}}
    else:
        bench.expect = ()
    (suite,) = ET.fromstring(junit_xml(bench.judge()))  # noqa: S314 - our own
    assert int(suite.get("errors") or 0) + int(suite.get("failures") or 0) > 0


def test_a_lab_that_never_came_up_has_a_report_too(bench: Bench) -> None:
    result = bench.judge(source=FakeSource(bench.backend, fails=1))
    checked(page(result))
    assert "no session to r1" in summary_markdown(result)
    assert "no session to r1" in text_of(result)


def test_a_node_that_stays_off_is_drawn_to_the_end(bench: Bench) -> None:
    bench.timeline = (Step(0, act("power-off", ("gw1",), "freeze"), at_ns=SECOND),)
    html = page(bench.judge())
    assert 'class="off"' in html
    assert "power-off gw1 (freeze)" in html
    assert "power-on gw1 (heal)" in html


def test_all_files_are_written_and_the_same_again_from_the_journal(
    bench: Bench, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    step = tmp_path / "step.md"
    step.write_text("before\n")
    monkeypatch.setenv("GITHUB_STEP_SUMMARY", str(step))
    bench.lose(0, 40).events(runs=2)
    result = judge_folder(tmp_path)
    write_report(result, tmp_path, junit=tmp_path / "deep" / "copy.xml", step_summary=True)
    first = {path.name: path.read_bytes() for path in tmp_path.iterdir() if path.is_file()}
    assert {"journal.jsonl", "result.json", "junit.xml", "summary.md", "report.html"} <= set(first)
    assert step.read_text() == "before\n" + (tmp_path / "summary.md").read_text()
    assert (tmp_path / "deep" / "copy.xml").read_bytes() == first["junit.xml"]
    assert json.loads(first["result.json"])["verdict"] == "FAIL"
    write_report(judge_folder(tmp_path), tmp_path)
    assert first == {path.name: path.read_bytes() for path in tmp_path.iterdir() if path.is_file()}


def test_a_folder_without_a_journal_is_told_so(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no journal"):
        judge_folder(tmp_path)


def test_progress_tells_each_step_and_in_a_series_only_trouble(bench: Bench) -> None:
    for brief in (False, True):
        lines: list[str] = []
        bench.backend.failing = frozenset({"power-on"})
        bench.events(listen=ProgressLines(lines.append, brief=brief))
        told = "\n".join(lines)
        assert ("power-off gw1: seen at 2 peer ends" in told) is not brief
        assert "action failed: power-on is set up to fail" in told


def test_markup_escapes_text_and_keeps_markup() -> None:
    assert el("b", "a<b", el("i", "&"), class_='"x"') == '<b class="&quot;x&quot;">a&lt;b<i>&amp;</i></b>'
    assert join(Markup("<hr/>"), 3, None, "<") == "<hr/>3&lt;"
    assert el("rect", x=1.239, y=2.0, text_anchor="end") == '<rect x="1.24" y="2" text-anchor="end"/>'
