"""Every file of a report, written beside the journal that it is made from."""

from __future__ import annotations

import json
import os
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

from labctl.journal.file import JOURNAL_NAME, read_journal
from labctl.verdict import judge

if TYPE_CHECKING:
    from labctl.verdict.schema import Result

__all__ = ["judge_folder", "write_report"]


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
    """
    from labctl.report.html import page  # noqa: PLC0415 - each form is loaded when it is written
    from labctl.report.junit import junit_xml  # noqa: PLC0415
    from labctl.report.markdown import summary_markdown  # noqa: PLC0415

    folder.mkdir(parents=True, exist_ok=True)
    _replace(folder / "result.json", json.dumps(asdict(result), indent=1) + "\n")
    xml = junit_xml(result)
    _replace(folder / "junit.xml", xml)
    if junit is not None:
        junit.parent.mkdir(parents=True, exist_ok=True)
        _replace(junit, xml)
    text = summary_markdown(result)
    _replace(folder / "summary.md", text)
    _replace(folder / "report.html", page(result))
    _write_staircase(result, folder)
    target = os.environ.get("GITHUB_STEP_SUMMARY") if step_summary else None
    if target:
        with Path(target).open("a", encoding="utf-8") as file:
            file.write(text)


def _write_staircase(result: Result, folder: Path) -> None:
    """A page of its own where a controller told how it brought its tenants back."""
    from labctl.report.staircase_data import staircase_of  # noqa: PLC0415 - rarely wanted

    journal = folder / JOURNAL_NAME
    if not journal.exists() or '"kind":"node.event"' not in journal.read_text(encoding="utf-8"):
        return
    stairs = staircase_of(result, read_journal(journal))
    if stairs is not None:
        from labctl.report.staircase import staircase_page  # noqa: PLC0415 - the same

        _replace(folder / "staircase.html", staircase_page(result, stairs))


def _replace(path: Path, text: str) -> None:
    """The old file stands until the new one is whole."""
    fresh = path.with_name(path.name + ".new")
    fresh.write_text(text, encoding="utf-8")
    fresh.replace(path)
