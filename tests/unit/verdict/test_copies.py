"""A run that stands in two journals is one measurement: nothing is compared with its own copy."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING

from make_believe import Bench

from labctl.cli.errors import run
from labctl.verdict.copies import copies

if TYPE_CHECKING:
    from pathlib import Path

    import pytest


def test_a_copied_run_is_named_with_its_line_whatever_its_number(bench: Bench) -> None:
    events = bench.seen(runs=2)
    second = max(index for index, event in enumerate(events) if event.kind == "run.header")
    (problem,) = copies({"a/journal.jsonl": events, "b/journal.jsonl": events[second:]})
    assert problem.file == "b/journal.jsonl"
    assert problem.line > 0
    assert "stream in of run 1 left at the same moments as run 1 of a/journal.jsonl" in problem.message


def test_two_measurements_of_one_scenario_are_no_copies(bench: Bench) -> None:
    one = bench.seen()
    bench.backend.now += 12_345
    assert list(copies({"a": one, "b": bench.seen()})) == []


def test_compare_refuses_a_copy_and_writes_nothing(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    Bench(tmp_path / "one").events()
    shutil.copytree(tmp_path / "one", tmp_path / "two")
    page = tmp_path / "compare.html"
    words = ["compare", str(tmp_path / "one"), str(tmp_path / "two"), "--out", str(page)]
    assert run(words) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith(f"{tmp_path}/two/journal.jsonl:")
    assert line.endswith("one run, copied")
    assert run(["compare", f"a={tmp_path}/one", f"b={tmp_path}/one", "--out", str(page)]) == 2
    assert "journal.jsonl: given twice" in capsys.readouterr().err
    assert not page.exists()
