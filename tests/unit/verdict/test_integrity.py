"""A journal that was damaged, cut or put together is an error with its line: never a PASS, never a crash."""

from __future__ import annotations

import copy
import json
import random
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest
from make_believe import MS
from sightings import changed

from labctl.errors import InputError
from labctl.events import Event
from labctl.journal.file import JournalWriter, read_journal
from labctl.report.html import page
from labctl.verdict import Verdict, judge

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from make_believe import Bench

MUTATIONS = 500


def damage(events: Sequence[Event]) -> str:
    result = judge(events)
    assert result.verdict == Verdict.ERROR, result.reasons
    return "; ".join(result.reasons)


def line_of(events: Sequence[Event], kind: str) -> int:
    return next(number for number, event in enumerate(events, start=1) if event.kind == kind)


def put(key: str, value: Any) -> Callable[[Any], None]:
    return lambda data: data.update({key: value})


def test_counts_that_do_not_add_up(bench: Bench) -> None:
    events = bench.lose(0, 300).seen()
    told = damage(changed(events, "tally", put("lost", 0)))
    assert f"journal.jsonl:{line_of(events, 'tally')}: stream in: sent" in told
    assert "over its flows" in told

    def forget(data: Any) -> None:
        for flow in data["flows"]:
            flow["losses"] = []

    assert "over its loss periods" in damage(changed(events, "tally", forget))


def test_a_flow_that_is_left_out(bench: Bench) -> None:
    assert "its flows are not 0 to 7" in damage(
        changed(bench.events(), "tally", lambda data: data["flows"].pop())
    )


def test_a_second_tally_of_a_stream(bench: Bench) -> None:
    events = list(bench.lose(0, 300).seen())
    tally = next(event for event in events if event.kind == "tally")
    told = damage([*events[:-2], tally, *events[-2:]])
    assert "a second tally of stream in" in told


@pytest.mark.parametrize("kind", ["action.started", "action.done"])
@pytest.mark.parametrize("step", [0, 1])
def test_a_step_that_is_missing(bench: Bench, kind: str, step: int) -> None:
    events = [event for event in bench.events() if event.kind != kind or event.data["step"] != step]
    assert f"step {step + 1}" in damage(events)


def test_a_step_that_is_there_twice(bench: Bench) -> None:
    events = list(bench.events())
    done = next(event for event in events if event.kind == "action.done")
    place = events.index(done)
    assert "a second time" in damage([*events[:place], done, *events[place:]])


def test_an_action_that_was_not_planned(bench: Bench) -> None:
    assert "was planned as power-off, and link-cut was done" in damage(
        changed(
            bench.events(),
            "action.done",
            lambda data: data.update(action="link-cut") if data["step"] == 0 else None,
        )
    )


@pytest.mark.parametrize("delay_ms", [1, 100, 10_000])
def test_a_delay_that_no_packet_had(bench: Bench, delay_ms: int) -> None:
    bench.lose(-100, 100)
    events = changed(bench.events(), "witness", put("delay_p99_ns", {"in": delay_ms * MS, "out": MS}))
    told = damage(events)
    assert f"journal.jsonl:{line_of(events, 'witness')}: the witness reports a delay" in told


# That an action takes long to return is no damage.
@pytest.mark.parametrize(
    ("key", "offset_ms"),
    [(key, offset) for key in ("requested_ns", "first_ns", "last_ns") for offset in (-1000, 1000)]
    + [("done_ns", -1000)],
)
def test_moments_that_cannot_be(bench: Bench, key: str, offset_ms: int) -> None:
    def move(data: Any) -> None:
        data[key] += offset_ms * MS

    damage(changed(bench.events(), "action.done", move))


@pytest.mark.parametrize("zero_ns", [10**13, 2**62])
def test_a_zero_that_would_hide_what_was_lost(bench: Bench, zero_ns: int) -> None:
    events = [
        replace(event, t_ns=zero_ns) if event.kind == "timeline.started" else event
        for event in bench.lose(2, 300).seen()
    ]
    assert "timeline started" in damage(events)
    assert "ERROR" in page(judge(events)), "it can be drawn all the same"


def test_a_run_in_the_wrong_place_and_one_that_is_missing(bench: Bench) -> None:
    events = list(bench.events(runs=3))
    heads = [index for index, event in enumerate(events) if event.kind == "run.header"]
    assert "stands in the place of run 1" in damage([*events[: heads[1]], *events[heads[2] :]])
    assert "only 2 of 3 runs" in damage(events[: heads[2]])


def test_a_tally_that_is_missing(bench: Bench) -> None:
    events = [event for event in bench.events() if event.kind != "tally"]
    assert "there is no tally of stream in" in damage(events)


def test_what_comes_after_the_end(bench: Bench) -> None:
    events = list(bench.events())
    tally = next(event for event in events if event.kind == "tally")
    assert "after the end of the run" in damage([*events, tally])


def test_each_line_carries_its_number_and_a_hash_over_the_one_before(tmp_path: Path, bench: Bench) -> None:
    bench.out = tmp_path
    events = bench.lose(0, 40).events()
    path = tmp_path / "journal.jsonl"
    assert read_journal(path) == events
    lines = path.read_text().splitlines()
    assert [json.loads(line)["n"] for line in lines] == list(range(1, len(lines) + 1))

    def refused(changed_lines: list[str]) -> int:
        path.write_text("\n".join(changed_lines) + "\n")
        with pytest.raises(InputError) as caught:
            read_journal(path)
        return caught.value.problems[0].line

    assert refused([*lines[:6], *lines[7:]]) == 7, "a line that was left out"
    assert refused([*lines[:6], lines[5], *lines[6:]]) == 7, "a line that is there twice"
    assert refused([*lines[:6], lines[7], lines[6], *lines[8:]]) == 7, "lines in another order"
    tally = next(index for index, line in enumerate(lines) if '"kind":"tally"' in line)
    spaced = [line.replace('"lost":', '"lost": ') if at == tally else line for at, line in enumerate(lines)]
    assert refused(spaced) == tally + 1
    path.write_text("\n".join(lines[:9]) + "\n")
    assert len(read_journal(path)) == 9, "what a killed labctl left is read"


def test_a_listener_writes_what_the_reader_takes(tmp_path: Path) -> None:
    with JournalWriter(tmp_path / "j.jsonl") as journal:
        journal(Event("run.header", 1, {"format": 2, "chain": "x", "text": 'a ","chain":"b'}))
        journal(Event("run.done", 2, {}))
    assert len(read_journal(tmp_path / "j.jsonl")) == 2


def plain(events: Sequence[Event]) -> list[dict[str, Any]]:
    told = [{"kind": one.kind, "t_ns": one.t_ns, "data": dict(one.data)} for one in events]
    return json.loads(json.dumps(told))  # type: ignore[no-any-return]


VALUES: tuple[Any, ...] = (
    *(None, True, -1, 0, 1, 10**30, 0.5, "", "x", "\ud800", [], [1], {}, {"a": 1}),
    *(float("inf"), [[1, 2]], [None], "power-on", "loss", 2**62),
)


def mutated(events: list[dict[str, Any]], draw: random.Random) -> tuple[list[dict[str, Any]], str]:
    """A journal with one thing changed at a random place, and what that was."""
    events = copy.deepcopy(events)
    place = draw.randrange(len(events))
    how = draw.choice(["drop", "twice", "swap", "value", "value", "value", "value", "remove"])
    told = f"{how} at {place} ({events[place]['kind']})"
    if how == "drop":
        del events[place]
    elif how == "twice":
        events.insert(place, copy.deepcopy(events[place]))
    elif how == "swap":
        other = draw.randrange(len(events))
        events[place], events[other] = events[other], events[place]
        told += f" with {other}"
    else:
        holder: Any = events[place]
        key: Any = draw.choice(list(holder))
        for _ in range(draw.randrange(8)):
            inner = holder[key]
            if not isinstance(inner, dict | list) or not inner:
                break
            holder, key = inner, draw.choice(list(inner) if isinstance(inner, dict) else range(len(inner)))
        if how == "remove":
            del holder[key]
        else:
            holder[key] = draw.choice(VALUES)
        told += f": {key!r}"
    return events, told


@pytest.mark.slow
@pytest.mark.parametrize("lost", [False, True])
def test_no_mutation_of_a_journal_is_a_crash_or_makes_a_pass(
    bench: Bench,
    lost: bool,  # noqa: FBT001 - a parameter of the test
    pytestconfig: pytest.Config,
) -> None:
    nightly = pytestconfig.getoption("--hypothesis-profile", None) == "nightly"
    if lost:
        bench.lose(2, 300)
    whole = plain(bench.seen())
    draw = random.Random(f"{lost}")
    before = judge([Event(**event) for event in whole]).verdict
    for _ in range(5_000 if nightly else MUTATIONS // 2):
        events, how = mutated(whole, draw)
        try:
            result = judge([Event(**event) for event in events])
        except InputError:
            continue
        except TypeError:
            assert not all({"kind", "t_ns", "data"} == set(event) for event in events), how
            continue
        assert result.verdict != Verdict.PASS or before == Verdict.PASS, how
        if draw.random() < 0.05:
            page(result)
