"""labctl record: a scenario run for others to be compared with."""

from pathlib import Path
from typing import Annotated

import typer

from labctl.cli.console import say
from labctl.cli.params import RuntimeName, Sets, Timeout

__all__ = ["command"]


def command(
    scenario: Annotated[
        Path, typer.Argument(metavar="SCENARIO", help="Scenario file, or the name of a shipped one.")
    ],
    out: Annotated[
        Path, typer.Option("--out", "-o", metavar="DIR", help="Folder for the baseline, which labctl makes.")
    ],
    *,
    runs: Annotated[
        int,
        typer.Option(
            "--runs", min=1, max=10_000, metavar="N", help="Number of runs; 6 fail-overs bound a median."
        ),
    ] = 10,
    seed: Annotated[
        int | None,
        typer.Option("--seed", metavar="S", help="Seed for the random offset (0 to 1 s) of fault times."),
    ] = None,
    set_: Sets = None,
    runtime: RuntimeName = "auto",
    timeout: Timeout = 120.0,
) -> int:
    """Record a baseline for labctl compare --fail-on-worse.

    The folder holds what labctl run writes, and baseline.json: the digest of the journal, versions, machine.
    Exit code: the verdict's, as that of labctl run; a baseline that FAILs is one, too. Of an ERROR or an
    interrupted run none is recorded.
    """
    from labctl.cli.run import Request, run
    from labctl.report.baseline import BASELINE_NAME, write_baseline

    request = Request(
        runs=runs, seed=seed, sets=tuple(set_ or ()), runtime=runtime, out=out, timeout_s=timeout
    )
    # A note of an older baseline must not stand beside a new journal.
    (out / BASELINE_NAME).unlink(missing_ok=True)
    (result,) = run([scenario], request)
    write_baseline(result, out)
    say(f"baseline: {out}")
    return result.exit_code
