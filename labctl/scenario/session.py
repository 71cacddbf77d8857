"""A series of runs: the lab brought up, run after run with the journal, logs on failure, tear-down."""

from __future__ import annotations

import contextlib
import shutil
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any, Protocol

from labctl import signals
from labctl.errors import HostError, LabctlError, LabInterrupted
from labctl.events import Event, Fanout, now_ns
from labctl.journal.file import FORMAT, JOURNAL_NAME, JournalWriter
from labctl.model.codec import lab_to_dict
from labctl.scenario.facts import clocks, machine, versions
from labctl.scenario.plan import make_plan
from labctl.scenario.runner import run_once

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from labctl.events import Listener
    from labctl.lab.loaded import LoadedLab
    from labctl.lab.reservation import ForcedChange
    from labctl.scenario.backend import LabBackend
    from labctl.scenario.model import Scenario
    from labctl.scenario.plan import Plan, PlannedStep

__all__ = ["LabSource", "Series", "run_header", "run_series"]

ERRORS_IN_A_ROW = 2
"""So many runs in a row that could not be carried out end a series: the next would not be either."""


class LabSource(Protocol):
    """Where a series gets its lab from."""

    def open(self, listen: Listener) -> LabBackend:
        """Bring the lab up, or find it running.

        Raises:
            LabctlError: it does not come up; nothing is left of it.
        """

    def close(self, listen: Listener, *, keep: bool) -> None:
        """Take the lab down, unless it is to be kept or was running before; may be called again."""

    def save_logs(self, into: Path) -> None:
        """Write every node's log into a folder."""

    def changes(self) -> Sequence[ForcedChange]:
        """What others did to the lab by force since the last call."""

    def about(self) -> dict[str, Any]:
        """For the journal's header: ``runtime``, and ``definition`` where there is one."""


@dataclass(frozen=True, slots=True)
class Series:
    """What is to be run.

    Attributes:
        scenario: checked against ``loaded``.
        loaded: the lab, from the same reading of its file as ``scenario`` was checked against.
        out: folder for the results.
        runs: how many.
        seed: of the phases.
        keep: leave the lab up at the end.
        retries: how many INCONCLUSIVE runs are repeated at the most.
    """

    scenario: Scenario
    loaded: LoadedLab
    out: Path
    runs: int = 1
    seed: int = 0
    keep: bool = False
    retries: int = 0


def run_series(
    series: Series,
    source: LabSource,
    listen: Listener,
    suspect: Callable[[Sequence[Event]], bool] = lambda _events: False,
    unclear: Callable[[Sequence[Event]], bool] = lambda _events: False,
) -> Path:
    """Run a scenario as often as asked, and write ``journal.jsonl`` into the results' folder.

    Between runs the lab stays up as long as it is steady again; else the next run gets a fresh one.

    Args:
        series: what is to be run.
        source: where the lab comes from.
        listen: told of everything besides the journal.
        suspect: says of the events of one run whether the nodes' logs are wanted.
        unclear: says of the events of one run whether it was INCONCLUSIVE, and is to be repeated.

    Returns:
        The journal.

    Raises:
        LabInterrupted: the user stopped it; faults are healed, the lab is down (or kept).
        HostError: the journal could not be written; the lab is down all the same.
        LabctlError: the lab could not be taken down.
    """
    path = series.out / JOURNAL_NAME
    stale = path.exists()

    def told(event: Event) -> None:
        # A terminal that has gone must not keep a lab from being healed.
        with contextlib.suppress(OSError):
            listen(event)

    with JournalWriter(path) as journal:
        # The logs of the results that are overwritten would be taken for these.
        if stale:
            shutil.rmtree(series.out / "logs", ignore_errors=True)
        session = _Session(series, source, Fanout((journal, told)), suspect, unclear)
        session.carry_out(lambda: journal.failure is not None)
    if journal.failure is not None:
        raise HostError(f"the journal {path} could not be written: {journal.failure.strerror}")
    return path


@dataclass
class _Recorder:
    """Keeps the events of one run."""

    events: list[Event] = field(default_factory=list)

    def __call__(self, event: Event) -> None:
        self.events.append(event)

    def heard(self, kind: str, **data: str) -> bool:
        return any(
            event.kind == kind and all(event.data.get(key) == value for key, value in data.items())
            for event in self.events
        )


@dataclass
class _Session:
    series: Series
    source: LabSource
    listen: Listener
    suspect: Callable[[Sequence[Event]], bool]
    unclear: Callable[[Sequence[Event]], bool]
    backend: LabBackend | None = None

    def carry_out(self, broken: Callable[[], bool]) -> None:
        """Every run; none is begun once its journal cannot be written."""
        in_a_row = 0
        try:
            # (number, number of the run that it repeats or -1); repeats come when the series is over.
            due = [(run, -1) for run in range(self.series.runs)]
            for run, retry_of in due:
                recorder = _Recorder()
                went_through = self._one(run, retry_of, recorder)
                if broken():
                    break
                if went_through and len(due) < self.series.runs + self.series.retries:
                    due += [(len(due), run)] if self.unclear(recorder.events) else []
                in_a_row = 0 if went_through else in_a_row + 1
                if in_a_row == ERRORS_IN_A_ROW:
                    break
                if not went_through or recorder.heard("steady.missed", when="after"):
                    self._close(keep=self.series.keep and run == len(due) - 1)
        except KeyboardInterrupt as error:
            # Between runs, or while the lab came up: inside a run the runner has dealt with it.
            self.listen(Event("run.interrupted"))
            raise LabInterrupted("interrupted; labctl has reverted every fault") from error
        finally:
            self._close(keep=self.series.keep)

    def _one(self, run: int, retry_of: int, recorder: _Recorder) -> bool:
        series = self.series
        emit = Fanout((self.listen, recorder))
        plan = make_plan(series.scenario, series.loaded.lab, seed=series.seed, run=run, runs=series.runs)
        # The header comes first in the journal, whatever becomes of the lab.
        emit(Event("run.header", now_ns(), run_header(plan, series.loaded, retry_of)))
        try:
            with signals.held():  # a lab that came up is known here before a signal raises
                backend = self.backend = self.backend or self.source.open(emit)
            emit(Event("run.lab", now_ns(), self.source.about()))
        except LabInterrupted:
            emit(Event("run.interrupted"))
            raise
        except LabctlError as error:
            emit(Event("run.error", now_ns(), {"error": str(error), "cause": error.cause}))
            return False
        try:
            return run_once(plan, backend, emit)
        finally:
            for change in self.source.changes():
                told = {"by": change.by, "action": change.action, "target": change.target}
                emit(Event("lab.changed", change.t_ns, told))
            if not recorder.heard("run.done") or self.suspect(recorder.events):
                self._save_logs(run, emit)

    def _save_logs(self, run: int, emit: Listener) -> None:
        into = self.series.out / "logs"
        into = into if self.series.runs == 1 else into / f"run-{run:03d}"
        try:
            self.source.save_logs(into)
        except (LabctlError, OSError) as error:
            emit(Event("logs.failed", now_ns(), {"error": str(error)}))
        else:
            emit(Event("logs.saved", now_ns(), {"folder": str(into.relative_to(self.series.out))}))

    def _close(self, *, keep: bool) -> None:
        with signals.held():
            if self.backend is not None:
                self.backend = None
                self.source.close(self.listen, keep=keep)


def run_header(plan: Plan, loaded: LoadedLab, retry_of: int = -1) -> dict[str, Any]:
    """The data of a ``run.header``: what is planned and expected, and on which machine.

    Args:
        plan: of the run.
        loaded: the lab that it is planned on.
        retry_of: number of the run that it repeats; -1 if none.
    """
    scenario = plan.scenario
    return {
        "format": FORMAT,
        "scenario": {"name": scenario.name, "path": str(scenario.path), "text": scenario.text},
        "topology": {
            "path": str(scenario.topology),
            "text": loaded.text,
            "sets": list(scenario.sets),
        },
        "lab": lab_to_dict(loaded.lab),
        "traffic": [asdict(stream) for stream in plan.streams],
        "steps": [_step(planned) for planned in plan.steps],
        "expect": [_expectation(plan, index) for index in range(len(scenario.expect))],
        "machine": machine(),
        "versions": versions(),
        "seed": plan.seed,
        "run": plan.run,
        "runs": plan.runs,
        **({"retry_of": retry_of} if retry_of >= 0 else {}),
        "clock": clocks(),
    }


def _step(planned: PlannedStep) -> dict[str, Any]:
    """A step of the timeline with all that a verdict must know of its action."""
    action = planned.step.action
    return {
        "text": str(planned.step),
        "phase_ns": planned.phase_ns,
        "action": action.name,
        "target": action.label,
        "nodes": list(action.nodes),
        "traits": action.traits,
    }


def _expectation(plan: Plan, index: int) -> dict[str, Any]:
    """An expectation with its selector resolved to the names of streams."""
    expected = plan.scenario.expect[index]
    names = [name for spec in plan.scenario.traffic for name in spec.chosen_by(expected.streams)]
    return {**asdict(expected), "streams": names}
