"""Every file of a report, written beside the journal that it is made from."""

from __future__ import annotations

import json
import os
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

from labctl.journal.file import JOURNAL_NAME, read_journal
from labctl.output_file import open_output, write_output
from labctl.verdict import judge

if TYPE_CHECKING:
    from labctl.verdict.schema import Result

__all__ = ["judge_folder", "write_junit", "write_report"]


def judge_folder(folder: Path) -> Result:
    """Judge the journal in a folder.

    Raises:
        InputError: there is none, or it is damaged.
    """
    return judge(read_journal(folder / JOURNAL_NAME))


def write_report(
    result: Result, folder: Path, *, junit: Path | None = None, step_summary: bool = False
) -> None:
    """Write result.json, junit.xml, summary.md and report.html.

    Args:
        result: of the journal in ``folder``.
        folder: the results' folder.
        junit: a second copy of junit.xml, where the user wants it.
        step_summary: append summary.md to ``$GITHUB_STEP_SUMMARY`` if that is set.

    Raises:
        HostError: a file cannot be written.
    """
    from labctl.report.html import page  # noqa: PLC0415 - each form is loaded when it is written
    from labctl.report.junit import junit_xml  # noqa: PLC0415
    from labctl.report.markdown import summary_markdown  # noqa: PLC0415

    write_output(folder / "result.json", json.dumps(asdict(result), indent=1) + "\n")
    xml = junit_xml(result)
    write_output(folder / "junit.xml", xml)
    text = summary_markdown(result)
    write_output(folder / "summary.md", text)
    write_output(folder / "report.html", page(result))
    _write_staircase(result, folder)
    target = os.environ.get("GITHUB_STEP_SUMMARY") if step_summary else None
    if target:
        with open_output(Path(target), append=True) as file:
            file.write(text)
    if junit is not None:  # last: whatever becomes of the copy, the report is whole
        write_output(junit, xml)


def write_junit(result: Result, file: Path) -> None:
    """Write the result as JUnit XML, where the user wants it.

    Raises:
        HostError: it cannot be written.
    """
    from labctl.report.junit import junit_xml  # noqa: PLC0415 - as in write_report

    write_output(file, junit_xml(result))


def _write_staircase(result: Result, folder: Path) -> None:
    """A page of its own where a controller told how it brought its tenants back."""
    from labctl.report.staircase_data import staircase_of  # noqa: PLC0415 - rarely wanted

    journal = folder / JOURNAL_NAME
    if not journal.exists() or '"kind":"node.event"' not in journal.read_text(encoding="utf-8"):
        return
    stairs = staircase_of(result, read_journal(journal))
    if stairs is not None:
        from labctl.report.staircase import staircase_page  # noqa: PLC0415 - the same

        write_output(folder / "staircase.html", staircase_page(result, stairs))
