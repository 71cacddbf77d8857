"""Skips that nobody expected fail a run; so does a run without a test."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from types import ModuleType

ROOT = Path(__file__).parents[3]
REPORT = """<?xml version="1.0" encoding="utf-8"?>
<testsuites><testsuite name="pytest" errors="{errors}" failures="{failures}" tests="{tests}" time="2.5">
<testcase classname="tests.a" name="test_ran" time="1"/>{more}</testsuite></testsuites>"""
SKIP = (
    '<testcase classname="tests.a" name="{name}"><skipped type="pytest.skip" message="{reason}"/></testcase>'
)
XFAIL = '<testcase classname="tests.a" name="x"><skipped type="pytest.xfail" message="known"/></testcase>'


@pytest.fixture(scope="module")
def tool() -> ModuleType:
    """tools/ci/check_report.py, which is no package."""
    path = ROOT / "tools/ci/check_report.py"
    spec = importlib.util.spec_from_file_location("labctl_check_report", path)
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


class Run:
    def __init__(self, tool: ModuleType, folder: Path) -> None:
        self.tool, self.folder = tool, folder
        self.allow = folder / "allow.txt"
        self.allow.write_text("# nothing\n")

    def report(self, *cases: str, tests: int = 0, failures: int = 0) -> int:
        path = self.folder / "unit.xml"
        text = REPORT.format(errors=0, failures=failures, tests=tests or 1 + len(cases), more="".join(cases))
        path.write_text(text)
        result: int = self.tool.main([str(path), "--allow", str(self.allow)])
        return result


@pytest.fixture
def run(tool: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    monkeypatch.delenv("GITHUB_STEP_SUMMARY", raising=False)
    return Run(tool, tmp_path)


def test_a_run_without_skips_is_good(run: Run) -> None:
    assert run.report() == 0


def test_an_unexpected_skip_is_named_and_fails(run: Run, capsys: pytest.CaptureFixture[str]) -> None:
    assert run.report(SKIP.format(name="test_netem", reason="no netem")) == 1
    assert "unexpected skip: tests.a::test_netem: no netem" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("line", "code"),
    [
        ("tests.a::test_netem\tno netem\tkernels without it", 0),
        ("tests\\.a::.*\t\tno netem\tseveral tabs", 0),
        ("tests.a::test_net\tno netem\tnot the whole name", 1),
        ("tests.a::test_netem\tno root\tanother reason", 1),
    ],
)
def test_a_skip_is_expected_only_by_whole_name_and_reason(run: Run, line: str, code: int) -> None:
    run.allow.write_text(line + "\n")
    assert run.report(SKIP.format(name="test_netem", reason="no netem here")) == code


def test_an_expected_failure_is_no_skip(run: Run) -> None:
    assert run.report(XFAIL) == 0


def test_a_run_in_which_nothing_ran_is_no_success(run: Run) -> None:
    run.allow.write_text(".*\t.*\tall\n")
    assert run.report(SKIP.format(name="a", reason="r"), tests=1) == 1


def test_no_report_is_no_success(
    tool: ModuleType, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "allow").touch()
    assert tool.main([str(tmp_path / "none.xml"), "--allow", str(tmp_path / "allow")]) == 1
    assert "no report" in capsys.readouterr().out


def test_the_step_summary_gets_one_head_and_a_line_a_report(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    target = run.folder / "summary.md"
    monkeypatch.setenv("GITHUB_STEP_SUMMARY", str(target))
    run.report()
    run.report(failures=1)
    assert target.read_text().splitlines() == [
        "| tests | ran | failed | skipped | time |",
        "|---|---|---|---|---|",
        "| unit | 1 | 0 | 0 | 2 s |",
        "| unit | 1 | 1 | 0 | 2 s |",
    ]


def test_a_line_without_a_why_is_refused(tool: ModuleType) -> None:
    with pytest.raises(ValueError, match="line 2"):
        tool.read_expected("# head\ntests.a::b\tno netem\n")


def test_the_projects_own_list_can_be_read(tool: ModuleType) -> None:
    for expected in tool.read_expected((ROOT / "tools/ci/expected-skips.txt").read_text()):
        # A pattern for everything would make the check void.
        assert not expected.covers("tests.some.module::test_of_mine", "")
