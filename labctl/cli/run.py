"""labctl run: scenarios carried out and judged."""

import secrets
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from labctl.cli.console import need_root, out_json, say, show, warn
from labctl.cli.params import Json, RuntimeName, Sets, Templates, Timeout
from labctl.errors import LabInterrupted

if TYPE_CHECKING:
    from labctl.events import Event
    from labctl.lab.loaded import LoadedLab
    from labctl.scenario.model import Scenario
    from labctl.verdict import Result

__all__ = ["Request", "command", "run"]


@dataclass(frozen=True)
class Request:
    """What the user asked for, beside the scenarios themselves.

    Attributes:
        runs: how often each scenario.
        seed: of the phases; None: drawn.
        sets: ``key=value`` for the topologies.
        runtime: ``auto``, ``netns`` or ``containerlab``.
        name: of the lab, instead of the topology's own.
        out: folder for the results.
        keep: leave labs up at the end.
        junit: a second place for junit.xml.
        timeout_s: for all nodes of a lab to become ready.
        templates: the user's template folders.
        retries: how many INCONCLUSIVE runs of a scenario are repeated at the most.
    """

    runs: int = 1
    seed: int | None = None
    sets: tuple[str, ...] = ()
    runtime: str = "auto"
    name: str | None = None
    out: Path | None = None
    keep: bool = False
    junit: Path | None = None
    timeout_s: float = 120.0
    templates: tuple[Path, ...] = ()
    retries: int = 0


def command(  # noqa: PLR0917 - the command line is typer's to read
    scenarios: Annotated[
        list[Path],
        typer.Argument(
            metavar="SCENARIO...",
            help="Scenario files, or names of shipped ones; labctl runs them one after the other.",
        ),
    ],
    runs: Annotated[
        int, typer.Option("--runs", min=1, max=10_000, metavar="N", help="Number of runs of each scenario.")
    ] = 1,
    seed: Annotated[
        int | None,
        typer.Option(
            "--seed",
            metavar="S",
            help="Seed for the random offset (0 to 1 s) added to fault times when --runs > 1.",
        ),
    ] = None,
    set_: Sets = None,
    runtime: RuntimeName = "auto",
    name: Annotated[
        str | None,
        typer.Option("--name", metavar="LAB", help="Name of the lab; the topology's name if not given."),
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option("--out", metavar="DIR", help="Folder for the results; results/<scenario> if not given."),
    ] = None,
    keep: Annotated[bool, typer.Option("--keep", help="Leave the lab running at the end.")] = False,
    junit: Annotated[
        Path | None,
        typer.Option("--junit", metavar="FILE", help="Also write the result as JUnit XML to this file."),
    ] = None,
    retry_inconclusive: Annotated[
        int,
        typer.Option(
            "--retry-inconclusive",
            min=0,
            max=10_000,
            metavar="N",
            help="Repeat runs that were INCONCLUSIVE, N at most; never a FAIL. The result names each.",
        ),
    ] = 0,
    templates: Templates = None,
    timeout: Timeout = 120.0,
    json: Json = False,
) -> int:
    """Run scenarios and judge them.

    Exit code: 0 PASS, 1 FAIL, 2 ERROR, 3 INCONCLUSIVE, 130 interrupted; of several scenarios the
    worst. labctl reports every problem of every scenario before it changes
    anything.
    """
    results = run(
        scenarios,
        Request(
            runs=runs,
            seed=seed,
            sets=tuple(set_ or ()),
            runtime=runtime,
            name=name,
            out=out,
            keep=keep,
            junit=junit,
            timeout_s=timeout,
            templates=tuple(templates or ()),
            retries=retry_inconclusive,
        ),
    )
    if json:
        out_json([asdict(result) for result in results])
    from labctl.verdict import worst

    return worst(*(result.verdict for result in results)).exit_code


def run(scenarios: Sequence[Path], request: Request) -> list["Result"]:
    """Run scenarios one after the other; write a report of each and show its summary.

    Raises:
        InputError: the problems of all scenarios together; nothing was done.
        HostError: not root, or the place for JUnit XML cannot be written.
        LabError: another run holds the lab, or a fault is in force in it; nothing was done.
        LabInterrupted: the user stopped it; the report of what was measured is written.
    """
    from labctl.output_file import check_output, numbered

    loaded = _load(scenarios, request)
    need_root("creating nodes and links")
    if request.junit is not None:
        check_output(request.junit)  # rather than when hours of runs are over
    if request.seed is None:
        request = replace(request, seed=secrets.randbelow(1 << 31))
    if len(loaded) == 1:
        return [_one(*loaded[0], request)]
    results = []
    for index, (scenario, lab) in enumerate(loaded, start=1):
        out = request.out / scenario.name if request.out else None
        junit = request.junit and numbered(request.junit, index)
        results.append(_one(scenario, lab, replace(request, out=out, junit=junit)))
    return results


def _load(paths: Sequence[Path], request: Request) -> list[tuple["Scenario", "LoadedLab"]]:
    from labctl.errors import InputError, Problem
    from labctl.scenario.load import load_scenario
    from labctl.shipped import file_or_example

    loaded = []
    problems: list[Problem] = []
    for path in paths:
        try:
            path = file_or_example(path, "scenarios")  # noqa: PLW2901 - the file that the user means
            scenario, lab = load_scenario(path, request.sets, request.name, templates=request.templates)
            warn((*lab.warnings, *scenario.warnings))
            loaded.append((scenario, lab))
        except InputError as error:
            problems += error.problems
    if problems:
        raise InputError(problems)
    return loaded


def _one(scenario: "Scenario", lab: "LoadedLab", request: Request) -> "Result":
    from labctl.report.progress import ProgressLines
    from labctl.report.terminal import one_line, summary
    from labctl.report.write import judge_folder, write_report
    from labctl.scenario.live import LiveSource
    from labctl.scenario.session import Series, run_series
    from labctl.verdict import Verdict, judge

    several = request.runs + request.retries > 1

    def suspect(events: Sequence["Event"]) -> bool:
        """Whether the nodes' logs of a run are wanted; also where a series tells of each run."""
        one = judge(events).runs[0]
        if several:
            say(one_line(one))
        return one.verdict is not Verdict.PASS

    def unclear(events: Sequence["Event"]) -> bool:
        return judge(events).runs[0].verdict is Verdict.INCONCLUSIVE

    folder = request.out or Path("results") / scenario.name
    series = Series(
        scenario,
        lab,
        folder,
        runs=request.runs,
        seed=request.seed or 0,
        keep=request.keep,
        retries=request.retries,
    )
    source = LiveSource(lab, request.runtime, request.timeout_s)
    try:
        with source.reserved(f"scenario {scenario.name}"):
            run_series(series, source, ProgressLines(say, brief=several), suspect, unclear)
    except LabInterrupted:
        write_report(judge_folder(folder), folder, junit=request.junit)
        say(f"the measurements so far are in {folder}")
        raise
    result = judge_folder(folder)
    show(summary(result))  # first: a disk that is full by now does not hide what was measured
    write_report(result, folder, junit=request.junit, step_summary=True)
    say(f"report: {folder / 'report.html'}")
    return result
