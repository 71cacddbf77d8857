"""labctl report: everything that a run's journal says, told again."""

from pathlib import Path
from typing import Annotated

import typer

from labctl.cli.console import out_json, say, show
from labctl.cli.params import Json

__all__ = ["command"]


def command(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="Folder of results, with its journal.jsonl.")],
    junit: Annotated[
        Path | None,
        typer.Option("--junit", metavar="FILE", help="Also write the result as JUnit XML to this file."),
    ] = None,
    json: Json = False,
) -> int:
    """Rebuild the report of a run from its journals alone.

    The exit code is the verdict's, as that of labctl run. For a folder with the results of
    several scenarios, labctl reports one after the other.
    """
    from labctl.errors import HostError
    from labctl.journal.file import JOURNAL_NAME
    from labctl.output_file import numbered
    from labctl.report.terminal import summary
    from labctl.report.write import judge_folder, write_junit, write_report
    from labctl.verdict import worst

    folders = (
        [folder]
        if (folder / JOURNAL_NAME).exists()
        else sorted(path.parent for path in folder.glob(f"*/{JOURNAL_NAME}"))
    )
    results = []
    for index, one in enumerate(folders or [folder]):
        result = judge_folder(one)
        results.append(result)
        if not json:
            show(summary(result))
        copy = numbered(junit, index + 1) if junit and len(folders) > 1 else junit
        try:
            write_report(result, one)
        except HostError as error:
            # Who may only read the results is shown them all the same.
            say(f"warning: {error}: the report's files were not written")
        else:
            say(f"report: {one / 'report.html'}")
        if copy is not None:
            write_junit(result, copy)
    if json:
        from dataclasses import asdict

        out_json([asdict(result) for result in results])
    return worst(*(result.verdict for result in results)).exit_code
