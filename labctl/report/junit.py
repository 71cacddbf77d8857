"""JUnit XML: one test case for each expectation, each action and each check that did not hold.

A verdict of FAIL is a failure, ERROR and INTERRUPTED are errors, and INCONCLUSIVE is an error, too:
no reader of JUnit knows it, and skipped would be shown as harmless.
"""

from __future__ import annotations

from typing import TYPE_CHECKING
from xml.etree import ElementTree as ET

from labctl.report.format import bar, fault_name
from labctl.verdict.schema import Verdict

if TYPE_CHECKING:
    from labctl.verdict.schema import FaultResult, Result, RunResult

__all__ = ["junit_xml"]


def junit_xml(result: Result) -> str:
    """The whole document."""
    suite = ET.Element("testsuite", name=result.name)
    for one in result.expectations:
        _case(suite, "expectation", one.text, one.verdict, one.reason)
    for run in (run for run in result.runs if not run.repeated):
        for check in run.checks:
            _case(suite, f"run {run.run}", check.reason, check.verdict, check.reason)
        for fault in run.faults:
            _fault(suite, run, fault)
    troubles = suite.findall(".//failure") + suite.findall(".//error")
    if not len(suite) or (result.verdict != Verdict.PASS and not troubles):
        _case(suite, "result", result.name, result.verdict, "; ".join(result.reasons))
    suite.set("tests", str(len(suite)))
    suite.set("failures", str(len(suite.findall(".//failure"))))
    suite.set("errors", str(len(suite.findall(".//error"))))
    suite.set("skipped", str(len(suite.findall(".//skipped"))))
    if result.runs:
        suite.set("timestamp", result.runs[0].started[:19])
        suite.set("time", f"{sum(run.length_ns for run in result.runs) / 1e9:.3f}")
    root = ET.Element("testsuites")
    root.append(suite)
    ET.indent(root)
    return '<?xml version="1.0" encoding="utf-8"?>\n' + ET.tostring(root, encoding="unicode") + "\n"


def _fault(suite: ET.Element, run: RunResult, fault: FaultResult) -> None:
    """What an action lost is shown; whether that is too much is for the expectations to say."""
    case = ET.SubElement(
        suite, "testcase", classname=f"run {run.run}", name=f"{fault.index + 1} {fault_name(fault)}"
    )
    case.set("time", f"{(fault.done_ns - fault.requested_ns) / 1e9:.3f}")
    if fault.null:
        ET.SubElement(case, "skipped", message="null trial: no flow crossed the victim")
    lines = [
        f"{one.stream}: {one.in_flight} lost in flight, {one.convergence_loss} to convergence,"
        f" {one.hit} flows hit, longest outage {bar(one.longest_outage_ns, one.error_ns)}"
        for one in fault.streams
    ]
    ET.SubElement(case, "system-out").text = _clean("\n".join(lines))


def _case(suite: ET.Element, group: str, name: str, verdict: Verdict, reason: str) -> None:
    case = ET.SubElement(suite, "testcase", classname=group, name=_clean(name))
    if verdict == Verdict.FAIL:
        ET.SubElement(case, "failure", message=_clean(reason), type=str(verdict))
    elif verdict != Verdict.PASS:
        ET.SubElement(case, "error", message=_clean(reason), type=str(verdict))


def _clean(text: str) -> str:
    """XML 1.0 has no place for control characters."""
    return "".join(one for one in text if one in "\t\n" or ord(one) >= 0x20)  # noqa: PLR2004 - a blank
