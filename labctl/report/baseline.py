"""A baseline: a folder of results, and a note by which its journal is known again."""

from __future__ import annotations

import hashlib
import json
from typing import TYPE_CHECKING, Any

from labctl.errors import InputError, LabError, Problem
from labctl.journal.file import JOURNAL_NAME
from labctl.output_file import write_output
from labctl.verdict.schema import Verdict

if TYPE_CHECKING:
    from pathlib import Path

    from labctl.verdict.schema import Result

__all__ = ["BASELINE_NAME", "check_baseline", "write_baseline"]

BASELINE_NAME = "baseline.json"
_FORMAT = 1


def write_baseline(result: Result, folder: Path) -> None:
    """Note that the results in a folder are a baseline.

    Args:
        result: of the journal in ``folder``.
        folder: of the results.

    Raises:
        LabError: the result is an ERROR or was interrupted: it measured nothing to be compared with.
        HostError: the note cannot be written.
    """
    if result.verdict in (Verdict.ERROR, Verdict.INTERRUPTED):
        why = (*result.reasons, "no reason")[0]
        raise LabError(f"no baseline was recorded in {folder}: the result is {result.verdict}: {why}")
    about = result.about
    note = {
        "format": _FORMAT,
        "scenario": result.name,
        "verdict": str(result.verdict),
        "runs": len(result.runs),
        "failovers": result.failovers.trials,
        "started": result.runs[0].started,
        "seed": about.get("seed"),
        "journal_sha256": _digest(folder / JOURNAL_NAME),
        "versions": dict(about.get("versions", {})),
        "machine": dict(about.get("machine", {})),
    }
    write_output(folder / BASELINE_NAME, json.dumps(note, indent=1) + "\n")


def check_baseline(folder: Path) -> None:
    """Hold the journal in a folder against the note, where there is one.

    Raises:
        InputError: the journal is not the one that was recorded, or the note is damaged.
    """
    path = folder / BASELINE_NAME
    try:
        note: Any = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return
    except (OSError, ValueError) as error:
        raise InputError([Problem(str(path), 0, 0, f"no baseline can be read here: {error}")]) from error
    if not isinstance(note, dict) or note.get("format") != _FORMAT:
        raise InputError([Problem(str(path), 0, 0, f"expected a baseline of format {_FORMAT}")])
    if note.get("journal_sha256") != _digest(folder / JOURNAL_NAME):
        message = "the journal beside it is not the one that was recorded: record the baseline anew"
        raise InputError([Problem(str(path), 0, 0, message)])


def _digest(journal: Path) -> str:
    try:
        with journal.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise InputError([Problem(str(journal), 0, 0, f"no journal can be read here: {error}")]) from error
