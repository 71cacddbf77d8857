"""The published schemas against what is really written and read."""

from __future__ import annotations

import contextlib
import json
import re
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from acts import act
from json_schema import complaints
from make_believe import MS, SECOND, Bench

from labctl.errors import LabInterrupted
from labctl.journal.file import FORMAT, read_journal
from labctl.journal.kinds import KINDS
from labctl.journal.records import ERROR_CAUSES, INTERNAL
from labctl.journal.schema import json_schema, kinds_table
from labctl.scenario.kinds.conditions.ecmp_paths import EcmpPaths
from labctl.scenario.kinds.conditions.first_reply import FirstReply
from labctl.scenario.kinds.conditions.loss import Loss
from labctl.scenario.kinds.conditions.ready import Ready
from labctl.scenario.kinds.conditions.wait import Wait
from labctl.scenario.model import Collection, Expectation, Step
from labctl.testing.backend import FakeBackend
from labctl.testing.series import FakeSource, play
from labctl.verdict import judge
from labctl.verdict.parse import Fields
from labctl.verdict.schema import json_schema as result_schema

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).parents[3]
RECORDED = ROOT / "tests" / "data" / "journals" / "power-cycle.jsonl"
SCHEMA = json_schema()
BY_KIND = {one["properties"]["kind"]["const"]: one for one in SCHEMA["oneOf"]}

EVERY_CONDITION = (
    Ready((), 30 * SECOND),
    Wait(MS),
    FirstReply("ext1", "srv1", SECOND),
    EcmpPaths("ext1", "srv1", 1, SECOND),
    Loss((), 0, 100 * MS, SECOND),
)


def wrong(journal: Path) -> list[str]:
    """What of the lines of a journal the schema does not allow."""
    found = []
    for number, line in enumerate(journal.read_text().splitlines(), start=1):
        item = json.loads(line)
        found += [f"{number} {item['kind']}: {text}" for text in complaints(item, BY_KIND[item["kind"]])]
    return found


def kinds(journal: Path) -> set[str]:
    return {event.kind for event in read_journal(journal)}


def lossy(_stream: object, flow: int, t_ns: int) -> bool:
    return flow == 1 and t_ns % SECOND < 100 * MS


def written(out: Path) -> Iterator[Path]:
    """Journals of all that can happen to a run."""

    def run(name: str, **options: Any) -> Path:
        bench = Bench(out / name)
        scenario = replace(
            bench.scenario(),
            steady=options.pop("steady", EVERY_CONDITION),
            collect=(Collection("srv1", "/log"), Collection("gw1", "/none")),
            **options.pop("scenario", {}),
        )
        fake = FakeBackend(
            nodes=("ext1", "srv1", "gw1"),
            files={("srv1", "/log"): b'{"kind": "up", "t_ns": 5, "data": {"x": 1}}\n'},
            **options.pop("backend", {}),
        )
        with contextlib.suppress(LabInterrupted, OverflowError):
            play(scenario, fake, out / name, source=FakeSource(fake, options.pop("fails", 0)), **options)
        return out / name / "journal.jsonl"

    only_off = (Step(0, act("power-off", ("gw1",), "cut"), at_ns=2 * SECOND),)
    after = (*only_off, Step(1, act("power-on", ("gw1",)), after=EcmpPaths("ext1", "srv1", 9, SECOND)))
    expect = tuple(Expectation(kind, packets=1) for kind in ("loss", "convergence-loss", "outage"))

    def stop(_backend: object, _action: object) -> None:
        raise KeyboardInterrupt

    def bug(_backend: object, _action: object) -> None:
        raise OverflowError("a bug")

    yield run("whole", runs=2, suspect=lambda _events: True, scenario={"expect": expect})
    yield run("healed", scenario={"timeline": only_off})
    yield run("not-healed", scenario={"timeline": only_off}, backend={"failing": frozenset({"power-on"})})
    yield run("condition-missed", scenario={"timeline": after})
    yield run("action-failed", backend={"failing": frozenset({"power-off"})})
    yield run("not-watched", backend={"watchable": False})
    yield run("lossy", backend={"lost": lossy}, steady=EVERY_CONDITION[:3])
    yield run("steady-missed", backend={"lost": lambda *_: True})
    yield run("never-ready", backend={"never_ready": frozenset({"gw1"})})
    yield run("no-lab", fails=9)
    yield run("interrupted", backend={"before": stop})
    yield run("bug", backend={"before": bug})


@pytest.mark.slow
def test_every_line_that_a_run_writes_is_of_the_schema(tmp_path: Path) -> None:
    seen: set[str] = set()
    for journal in written(tmp_path):
        assert wrong(journal) == []
        seen |= kinds(journal)
    # The rest comes from runtimes, and is in the recorded journal; or from what cannot be played here.
    rest = {kind.name for kind in KINDS} - seen - kinds(RECORDED)
    assert rest == {
        *("image.building", "image.output", "image.built", "lab.changed", "logs.failed", "tally.failed")
    }


def test_a_recorded_journal_of_a_real_lab_is_of_the_schema() -> None:
    assert wrong(RECORDED) == []
    assert {"evidence", "witness", "node.ready", "tally"} <= kinds(RECORDED)


@pytest.mark.parametrize(
    ("kind", "change", "told"),
    [
        ("tally", {"sent": "7"}, "$.data.sent: '7' is no integer"),
        ("tally", {"colour": 1}, "$.data: colour is unknown"),
        ("run.header", {"format": 3}, f"$.data.format: 3 is not {FORMAT}"),
        ("witness", {"by": "hearsay"}, "$.data.by: 'hearsay' is none of ['interfaces', 'node']"),
        ("evidence", {"lost": {"in": [[1, 2]]}}, "$.data.lost.in[0]: 2 items"),
    ],
)
def test_a_line_of_another_shape_is_not(kind: str, change: dict[str, Any], told: str) -> None:
    line = next(
        item for text in RECORDED.read_text().splitlines() if (item := json.loads(text))["kind"] == kind
    )
    line["data"].update(change)
    assert list(complaints(line, BY_KIND[kind])) == [told]


@pytest.mark.slow
def test_the_verdict_reads_no_field_that_the_schema_does_not_have(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    read: set[str] = set()
    get = Fields._get

    def noted(self: Fields, name: str, default: object) -> Any:
        read.add(self._at(name))
        return get(self, name, default)

    monkeypatch.setattr(Fields, "_get", noted)
    for journal in (RECORDED, *written(tmp_path)):
        judge(read_journal(journal))
    assert {"tally.sent", "evidence.lost", "run.header.tmax_ns"} <= {
        re.sub(r"\[\d+\]", "", one) for one in read
    }
    assert sorted(one for one in read if not described(one)) == []


def described(path: str) -> bool:
    """Whether the schema has what the verdict calls ``tally.flows[3].lost``."""
    kind = max((kind for kind in BY_KIND if path.startswith(f"{kind}.")), key=len, default="")
    if path == "run.lab.lab":
        return True  # all fields of run.lab, under a name of the reader's
    if not kind:
        return False
    shape = BY_KIND[kind]["properties"]["data"]
    for name in re.sub(r"\[\d+\]", "", path.removeprefix(f"{kind}.")).split("."):
        shape = shape.get("items", shape)
        known = shape.get("properties", {})
        rest = shape.get("additionalProperties", {})
        if name not in known and rest is False:
            return False
        shape = known.get(name, rest)
    return True


def test_every_field_says_what_it_means_and_every_number_its_unit() -> None:
    def fields(shape: Any, at: str) -> Iterator[tuple[str, dict[str, Any]]]:
        for name, one in shape.get("properties", {}).items():
            yield f"{at}.{name}", one
            yield from fields(one, f"{at}.{name}")
        if isinstance(shape.get("items"), dict):
            yield from fields(shape["items"], at)

    everything = [one for kind in KINDS for one in fields(BY_KIND[kind.name], kind.name)]
    assert len(everything) > 300
    assert [at for at, one in everything if not one.get("description")] == []
    numbers = [(at, one) for at, one in everything if one.get("type") in ("integer", "number")]
    assert [at for at, one in numbers if not one.get("x-unit")] == []


def test_the_documentation_has_the_table() -> None:
    text = (ROOT / "docs" / "journal.md").read_text()
    assert text.partition("<!-- kinds -->\n")[2] == kinds_table(), "run: python -m labctl.journal.schema"


@pytest.mark.slow
def test_an_error_has_a_cause_that_is_documented_and_no_name_of_a_class(tmp_path: Path) -> None:
    causes = {
        event.data["cause"]
        for journal in written(tmp_path)
        for event in read_journal(journal)
        if event.kind == "run.error"
    }
    assert {"action", "node", INTERNAL} <= causes <= set(ERROR_CAUSES)


@pytest.mark.slow
def test_a_result_is_of_its_schema(tmp_path: Path) -> None:
    schema = result_schema()
    for journal in (RECORDED, *written(tmp_path)):
        result = json.loads(json.dumps(asdict(judge(read_journal(journal)))))
        assert list(complaints(result, schema)) == []
