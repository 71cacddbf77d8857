"""Read a JUnit report: refuse skips that nobody expected, and tell CI's step summary what ran.

A test may skip only where the machine truly cannot run it. Each such case stands in the list of
expected skips, one a line::

    <regular expression for file::test>  <TAB>  <regular expression for the reason>  <TAB>  why that is right
"""

from __future__ import annotations

import argparse
import os
import re
import sys
import xml.etree.ElementTree as ET
from dataclasses import dataclass
from pathlib import Path

FIELDS = 3


@dataclass(frozen=True)
class Expected:
    """A skip that is right on some machines."""

    test: re.Pattern[str]
    reason: re.Pattern[str]
    why: str

    def covers(self, test: str, reason: str) -> bool:
        """Whether this is the skip that is meant."""
        return bool(self.test.fullmatch(test) and self.reason.search(reason))


@dataclass(frozen=True)
class Report:
    """What a JUnit file says, in numbers and names."""

    tests: int
    failures: int
    errors: int
    seconds: float
    skips: tuple[tuple[str, str], ...]


def read_expected(text: str) -> list[Expected]:
    """Parse the list; ValueError for a line that is not three fields."""
    found = []
    for number, line in enumerate(text.splitlines(), 1):
        if not line.strip() or line.startswith("#"):
            continue
        fields = [field.strip() for field in re.split(r"\t+", line)]
        if len(fields) != FIELDS or not all(fields):
            raise ValueError(f"line {number}: expected test, reason and why, with tabs between")
        found.append(Expected(re.compile(fields[0]), re.compile(fields[1]), fields[2]))
    return found


def read_report(path: Path) -> Report:
    """Parse pytest's JUnit file."""
    root = ET.parse(path).getroot()  # noqa: S314 - our own pytest wrote it
    suites = [root] if root.tag == "testsuite" else root.findall("testsuite")
    # An expected failure is written as a skip too; it ran, and did as it was told.
    skips = [
        (f"{case.get('classname')}::{case.get('name')}", skip.get("message") or "")
        for case in root.iter("testcase")
        for skip in case.findall("skipped")
        if skip.get("type") != "pytest.xfail"
    ]
    return Report(
        tests=sum(int(suite.get("tests", 0)) for suite in suites),
        failures=sum(int(suite.get("failures", 0)) for suite in suites),
        errors=sum(int(suite.get("errors", 0)) for suite in suites),
        seconds=sum(float(suite.get("time", 0)) for suite in suites),
        skips=tuple(skips),
    )


def unexpected(report: Report, expected: list[Expected]) -> list[tuple[str, str]]:
    """Skips that no line of the list covers."""
    return [skip for skip in report.skips if not any(one.covers(*skip) for one in expected)]


def summary(name: str, report: Report) -> str:
    """One line of a Markdown table's body."""
    ran = report.tests - len(report.skips)
    bad = report.failures + report.errors
    return f"| {name} | {ran} | {bad} | {len(report.skips)} | {report.seconds:.0f} s |\n"


def tell_step_summary(line: str) -> None:
    """Append to the step summary, with the table's head if it is the first line."""
    target = os.environ.get("GITHUB_STEP_SUMMARY")
    if not target:
        return
    path = Path(target)
    head = (
        ""
        if path.exists() and path.stat().st_size
        else "| tests | ran | failed | skipped | time |\n|---|---|---|---|---|\n"
    )
    with path.open("a") as file:
        file.write(head + line)


def main(arguments: list[str]) -> int:
    """0 if every skip was expected and at least one test ran."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("report", type=Path)
    parser.add_argument("--allow", type=Path, required=True)
    options = parser.parse_args(arguments)
    try:
        report = read_report(options.report)
    except (OSError, ET.ParseError) as error:
        print(f"{options.report}: no report: {error}")
        return 1
    tell_step_summary(summary(options.report.stem, report))
    wrong = unexpected(report, read_expected(options.allow.read_text()))
    for test, reason in wrong:
        print(f"unexpected skip: {test}: {reason}")
    if report.tests == len(report.skips):
        print(f"{options.report}: no test ran")
        return 1
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
