"""labctl compare: results of several designs on one page."""

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from labctl.cli.console import console, out_json, say
from labctl.cli.params import Json

if TYPE_CHECKING:
    from collections.abc import Sequence

    from labctl.report.compare_data import Design

__all__ = ["command"]


def command(
    folders: Annotated[
        list[Path],
        typer.Argument(
            metavar="[NAME=]DIR...",
            help="Folder of results, of one scenario or several; NAME labels it on the page.",
        ),
    ],
    out: Annotated[Path, typer.Option("--out", "-o", metavar="FILE", help="Write the page here.")] = Path(
        "compare.html"
    ),
    *,
    fail_on_worse: Annotated[
        bool,
        typer.Option(
            "--fail-on-worse",
            help="Judge the second of two folders against the first: exit code 0 not worse, 1 worse, 3"
            " cannot tell.",
        ),
    ] = False,
    json: Json = False,
) -> int:
    """Compare results: a table, and plots on the same axes.

    The comparison uses the journals alone; the scenarios' expectations have no effect on it. A run that
    was copied into a second folder is refused.
    """
    from labctl.errors import InputError, Problem
    from labctl.journal.file import JOURNAL_NAME, read_journal
    from labctl.output_file import write_output
    from labctl.report.baseline import check_baseline
    from labctl.report.compare import HEADS, compare_page, rows, run_facts
    from labctl.report.compare_data import design_of
    from labctl.report.staircase_data import staircase_of
    from labctl.verdict import judge
    from labctl.verdict.comparison import compare
    from labctl.verdict.copies import copies
    from labctl.verdict.statistics import CONFIDENCE

    designs, stairs, results = [], {}, []
    found_in = [one for given in folders for one in _results(*_named(given))]
    journals = {str(folder / JOURNAL_NAME): read_journal(folder / JOURNAL_NAME) for _, folder in found_in}
    given_of = [str(folder / JOURNAL_NAME) for _, folder in found_in]
    twice = {path for path in given_of if given_of.count(path) > 1}
    problems = [Problem(path, 0, 0, "given twice: a run is not compared with itself") for path in twice]
    problems += copies(journals)
    if fail_on_worse and len(found_in) != 2:  # noqa: PLR2004 - a baseline and a new result
        told = f"two results were expected, a baseline and a new one, not {len(found_in)}"
        problems.append(Problem("--fail-on-worse", 0, 0, told))
    if problems:
        raise InputError(problems)
    for _, folder in found_in:
        check_baseline(folder)
    for name, folder in found_in:
        events = journals[str(folder / JOURNAL_NAME)]
        result = judge(events)
        results.append(result)
        design = design_of(result, name)
        designs.append(design)
        found = staircase_of(result, events)
        if found is not None:
            stairs[design.name] = found
    write_output(out, compare_page(designs, stairs))
    gate = compare(*results, confidence=CONFIDENCE) if fail_on_worse else None
    if json:
        facts = zip(rows(designs), run_facts(designs), strict=True)
        table = [{**dict(zip(HEADS, row, strict=True)), **more} for row, more in facts]
        out_json(table if gate is None else {"designs": table, "rows": [asdict(row) for row in gate.rows]})
    else:
        _show(designs)
        say(f"page: {out}")
        if gate is not None:
            say("")
            say(gate.table())
            say(gate.sentence)
    return 0 if gate is None else gate.exit_code


def _show(designs: "Sequence[Design]") -> None:
    """A column a design: there are few of them, and many facts."""
    from rich.table import Table

    from labctl.report.compare import HEADS, opening, rows

    say(opening(designs))
    say("")
    table = Table(box=None, pad_edge=False, show_header=False)
    for _ in range(len(designs) + 1):
        table.add_column(justify="right" if table.columns else "left")
    for fact, *values in zip(HEADS, *rows(designs), strict=True):
        table.add_row(fact, *values)
    console().print(table)


def _named(given: Path) -> tuple[str, Path]:
    """``NAME=DIR`` or ``DIR``; a folder that is there is taken by its whole name."""
    name, equals, rest = str(given).partition("=")
    return ("", given) if not equals or given.exists() else (name, Path(rest))


def _results(name: str, folder: Path) -> list[tuple[str, Path]]:
    """The folder itself, or those that `labctl run` of several scenarios left in it, by name."""
    from labctl.journal.file import JOURNAL_NAME

    if (folder / JOURNAL_NAME).exists():
        return [(name, folder)]
    inside = sorted(path.parent for path in folder.glob(f"*/{JOURNAL_NAME}"))
    return [(f"{name} {one.name}".strip(), one) for one in inside] or [(name, folder)]
