"""Whether a result is worse than a baseline: each answer by a lab that is made to be so."""

from __future__ import annotations

import json
import shutil
from math import comb
from typing import TYPE_CHECKING, Any

import pytest

from labctl.api.result import JudgedResult
from labctl.cli.errors import run as command_line
from labctl.errors import InputError, LabError
from labctl.report.baseline import write_baseline
from labctl.scenario.load import scenario_of_words
from labctl.testing.backend import FakeBackend
from labctl.testing.series import fake_lab, play
from labctl.verdict.comparison import Comparison, RowOutcome
from labctl.verdict.statistics import fisher_more

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

NODES = ("h1", "h2", "gw1", "gw2")


def words(rate: int = 500) -> dict[str, Any]:
    return {
        "name": "cut",
        "traffic": [{"name": "there", "from": "h1", "to": "h2", "rate": rate, "flows": 4}],
        "timeline": [{"at": "1500ms", "power-off": "gw1"}, {"after": {"wait": "1s"}, "power-on": "gw1"}],
        "settle": "500ms",
        "expect": [{"convergence-loss": "all", "packets": 0}],
    }


def series(folder: Path, out_ms: Sequence[float], *, rate: int = 500) -> JudgedResult:
    """A run for each outage, which all flows have at the cut; each starts at a clock of its own."""
    backend = FakeBackend(NODES, now=1_000_000_000_000 + int.from_bytes(folder.name.encode()) % 10**12)

    def lost(_stream: Any, _flow: int, moment: int) -> bool:
        cuts = [when for what, when in backend.done if what.startswith("power-off")]
        return any(0 < moment - when < out_ms[run] * 1e6 for run, when in enumerate(cuts))

    backend.lost = lost
    scenario = scenario_of_words(words(rate), fake_lab(NODES), "test")
    return JudgedResult(play(scenario, backend, folder, runs=len(out_ms), seed=len(folder.name)), folder)


def outcomes(comparison: Comparison) -> dict[str, RowOutcome]:
    return {row.name: row.outcome for row in comparison.rows}


def test_fishers_test_is_that_of_the_book() -> None:
    """The lady tasting tea: 4 of 4 right and 0 of 4 wrong, 1 in 70; 3 of 4, 17 in 70."""
    assert fisher_more(4, 4, 0, 4) == pytest.approx(1 / 70)
    assert fisher_more(3, 4, 1, 4) == pytest.approx(17 / 70)
    assert fisher_more(0, 5, 0, 5) == 1.0
    assert fisher_more(5, 5, 0, 5) == pytest.approx(1 / comb(10, 5))


@pytest.mark.slow
def test_the_same_again_is_not_worse(tmp_path: Path) -> None:
    base, new = series(tmp_path / "base", [40] * 8), series(tmp_path / "newer", [40] * 8)
    told = new.compare(base)
    assert (told.worse, told.better, told.cannot_tell, told.exit_code) == (False, False, False, 0)
    assert "NOT WORSE" in told.sentence


@pytest.mark.slow
def test_longer_outages_are_worse_and_shorter_ones_better(tmp_path: Path) -> None:
    base, new = series(tmp_path / "base", [40] * 8), series(tmp_path / "newer", [400] * 8)
    told = new.compare(base)
    assert told.worse
    assert outcomes(told)["outage p95"] is RowOutcome.WORSE
    assert outcomes(told)["fail-overs with convergence loss"] is RowOutcome.NOT_WORSE
    assert base.compare(new).better
    assert "400 ms" in told.table()


@pytest.mark.slow
def test_more_fail_overs_with_loss_are_worse(tmp_path: Path) -> None:
    base = series(tmp_path / "base", [0] * 10)
    told = series(tmp_path / "newer", [40, 0] * 5).compare(base)
    assert outcomes(told)["fail-overs with convergence loss"] is RowOutcome.WORSE
    told = series(tmp_path / "newest", [40] + [0] * 9).compare(base)
    assert not told.worse


@pytest.mark.slow
@pytest.mark.parametrize("runs", [1, 2, 5])
def test_so_few_that_nothing_could_be_shown_cannot_tell(tmp_path: Path, runs: int) -> None:
    base, new = series(tmp_path / "base", [0] * runs), series(tmp_path / "newer", [0] * runs)
    told = new.compare(base)
    assert (told.cannot_tell, told.exit_code) == (True, 3)


@pytest.mark.slow
def test_a_difference_within_the_sampling_interval_is_none(tmp_path: Path) -> None:
    """Flows send every 8 ms: outages that differ by less than the two intervals are the same."""
    base, new = series(tmp_path / "base", [40] * 8), series(tmp_path / "newer", [48] * 8)
    assert outcomes(new.compare(base))["outage p50"] is RowOutcome.NOT_WORSE


@pytest.mark.slow
def test_a_tolerance_is_named_by_its_row(tmp_path: Path) -> None:
    base, new = series(tmp_path / "base", [40] * 8), series(tmp_path / "newer", [400] * 8)
    told = new.compare(base, tolerance={"outage p95": 1e9})
    assert outcomes(told)["outage p95"] is RowOutcome.NOT_WORSE
    with pytest.raises(InputError, match="outage p95"):
        new.compare(base, tolerance={"outage p59": 1e9})


@pytest.mark.slow
def test_what_did_not_measure_the_same_cannot_be_compared(tmp_path: Path) -> None:
    base, new = series(tmp_path / "base", [0] * 8), series(tmp_path / "newer", [0] * 8, rate=1000)
    told = new.compare(base)
    assert told.cannot_tell
    assert told.rows[0].name == "traffic"


@pytest.mark.slow
def test_a_run_is_not_compared_with_its_copy(tmp_path: Path) -> None:
    base = series(tmp_path / "base", [0] * 8)
    with pytest.raises(InputError, match=r"copied|copy|same"):
        base.compare(JudgedResult(base.events))


@pytest.mark.slow
def test_the_command_says_worse_by_its_exit_code(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for name, out_ms in (("base", 40), ("same2", 40), ("worst1", 400)):
        series(tmp_path / name, [out_ms] * 8)
    page = ["--out", str(tmp_path / "page.html"), "--fail-on-worse"]
    assert command_line(["compare", str(tmp_path / "base"), str(tmp_path / "same2"), *page]) == 0
    assert command_line(["compare", str(tmp_path / "base"), str(tmp_path / "worst1"), *page]) == 1
    assert "WORSE: convergence loss, outage p50" in capsys.readouterr().err
    assert command_line(["compare", str(tmp_path / "base"), *page]) == 2
    assert "two results were expected" in capsys.readouterr().err
    assert command_line(["compare", str(tmp_path / "base"), str(tmp_path / "same2"), *page, "--json"]) == 0
    assert len(json.loads(capsys.readouterr().out)["rows"]) == 5


@pytest.mark.slow
def test_a_baseline_whose_journal_is_another_is_refused(tmp_path: Path) -> None:
    base, new = series(tmp_path / "base", [0] * 8), series(tmp_path / "newer", [0] * 8)
    write_baseline(base.data, tmp_path / "base")
    note = json.loads((tmp_path / "base/baseline.json").read_text())
    assert (note["scenario"], note["runs"], note["failovers"], note["verdict"]) == ("cut", 8, 8, "PASS")
    assert new.compare(tmp_path / "base").exit_code == 0
    shutil.copy(tmp_path / "newer/journal.jsonl", tmp_path / "base/journal.jsonl")
    with pytest.raises(InputError, match="not the one that was recorded"):
        new.compare(tmp_path / "base")


@pytest.mark.slow
def test_an_error_is_no_baseline(tmp_path: Path) -> None:
    backend = FakeBackend(NODES, failing=frozenset({"power-off"}))
    scenario = scenario_of_words(words(), fake_lab(NODES), "test")
    broken = JudgedResult(play(scenario, backend, tmp_path / "broken"), tmp_path / "broken")
    with pytest.raises(LabError, match="no baseline was recorded"):
        write_baseline(broken.data, tmp_path / "broken")
    new = series(tmp_path / "newer", [0] * 8)
    assert new.compare(broken).rows[0].reason.startswith("the baseline is ERROR")
