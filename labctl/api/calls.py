"""What a program begins with: a lab brought up or found, a scenario run, a result read, a machine checked."""

from __future__ import annotations

import os
import secrets
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

from labctl import signals
from labctl.api.durations import as_ns
from labctl.api.host import LiveHost
from labctl.api.lab import RunningLab
from labctl.api.result import JudgedResult, result_of
from labctl.errors import HostError, InputError, LabNotFoundError, Problem
from labctl.events import silent
from labctl.lab.definition_cache import definition_of, plan_of
from labctl.lab.lifecycle import bring_up, take_down
from labctl.lab.lifecycle import open_lab as opened
from labctl.lab.loaded import LoadedLab, load_lab_file
from labctl.scenario.live import LiveSource, backend_of
from labctl.scenario.load import load_scenario
from labctl.scenario.session import Series, run_series
from labctl.shipped import file_or_example
from labctl.verdict import Verdict, judge

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from labctl.api.durations import Span
    from labctl.doctor.model import Finding
    from labctl.events import Event, Listener

__all__ = ["check_machine", "load_result", "open_lab", "run", "up"]


def up(
    topology: str | Path,
    *,
    name: str | None = None,
    runtime: str = "auto",
    sets: Mapping[str, Any] | None = None,
    templates: Sequence[str | Path] = (),
    timeout: Span = "120s",
    keep: bool = False,
    on_event: Listener = silent,
) -> RunningLab:
    """Bring a lab up and wait until every node is ready.

    Use it in a ``with``: it takes the lab down at the end, whatever came.

    Args:
        topology: file, or name of a shipped one.
        name: of the lab, in the place of the topology's own.
        runtime: ``auto``, ``netns`` or ``containerlab``.
        sets: variables of the topology.
        templates: folders of roles, over those that come with labctl.
        timeout: for all nodes to become ready.
        keep: leave the lab running at the end; its faults are taken back all the same.
        on_event: told of progress.

    Raises:
        InputError: the topology is wrong; nothing was changed.
        HostError: not root, or this machine lacks something; nothing was changed.
        LabExistsError: a lab of that name is there; nothing was changed.
        NodeError: a node did not start or did not become ready; all is taken down again.
    """
    path = file_or_example(Path(topology), "topologies")
    loaded = load_lab_file(path, name=name, sets=_sets(sets), templates=[Path(one) for one in templates])
    _need_root("creating nodes and links")
    timeout_s = as_ns(timeout, "timeout") / 1e9
    folder = None
    with signals.handled():
        try:
            with signals.held():
                folder = bring_up(loaded, runtime=runtime, timeout_s=timeout_s, listen=on_event)
            backend = backend_of(folder, loaded.lab)
        except BaseException:
            if folder is not None:  # a signal came while it was up and nobody had it yet
                with signals.held():
                    take_down(folder, on_event)
            raise
    return RunningLab(backend, loaded, LiveHost(folder, on_event), ours=True, keep=keep)


def open_lab(name_or_topology: str | Path) -> RunningLab:
    """A lab that runs already. Used in a ``with``, its end takes back the faults made through it, no more.

    Raises:
        HostError: not root.
        LabNotFoundError: there is none, or several were made from that file.
    """
    _need_root("acting on a lab")
    _, folder = opened(str(name_or_topology))
    record = folder.record()
    if record.phase != "up":
        raise LabNotFoundError(f"lab {folder.name!r} is {record.phase}, not up")
    definition = definition_of(folder)
    planned = plan_of(folder)
    if planned is None:
        from labctl.clab.as_lab import lab_of  # noqa: PLC0415 - for a file that somebody else wrote

        loaded = LoadedLab(Path(record.topology), "", lab_of(definition, ()), definition)
    else:
        loaded = LoadedLab(Path(record.topology), "", planned)
    return RunningLab(backend_of(folder, loaded.lab), loaded, LiveHost(folder, silent), ours=False)


def run(
    scenario: str | Path,
    *,
    runs: int = 1,
    seed: int | None = None,
    sets: Mapping[str, Any] | None = None,
    runtime: str = "auto",
    out: str | Path | None = None,
    lab: RunningLab | None = None,
    timeout: Span = "120s",
    on_event: Listener = silent,
) -> JudgedResult:
    """Run a scenario and judge it, as ``labctl run`` does.

    Args:
        scenario: file, or name of a shipped one.
        runs: how many.
        seed: of the random offset added to fault times when there are several runs.
        sets: variables of the topology, over those of the scenario.
        runtime: ``auto``, ``netns`` or ``containerlab``.
        out: folder for journal, report and logs; none is kept if not given.
        lab: run it on this one, which must be made from the same topology.
        timeout: for all nodes to become ready.
        on_event: told of everything.

    Raises:
        InputError: the scenario or its topology is wrong; nothing was done.
        HostError: not root, or this machine lacks something.
        LabError: another run holds the lab, or a fault is in force in it; nothing was done.
        LabInterrupted: the user stopped it; faults are taken back.
    """
    if runs < 1:
        raise InputError([Problem("runs", 0, 0, f"at least 1 was expected, not {runs}")])
    name = lab.name if lab is not None else None
    loaded_scenario, loaded = load_scenario(file_or_example(Path(scenario), "scenarios"), _sets(sets), name)
    _need_root("creating nodes and links")
    source = LiveSource(loaded, lab.runtime if lab is not None else runtime, as_ns(timeout, "timeout") / 1e9)
    chosen = secrets.randbelow(1 << 31) if seed is None else seed
    with tempfile.TemporaryDirectory(prefix="labctl-run-") as scratch, signals.handled():
        folder = Path(scratch if out is None else out)
        series = Series(loaded_scenario, loaded, folder, runs=runs, seed=chosen)
        with source.reserved(f"scenario {loaded_scenario.name}"):
            run_series(series, source, on_event, _suspect)
        result = result_of(folder)
        if out is None:
            return JudgedResult(result.events)
        result.write(folder)
    return result


def load_result(folder: str | Path) -> JudgedResult:
    """The result in a folder, judged anew from its journal.

    Raises:
        InputError: there is no sound journal.
    """
    return result_of(Path(folder))


def check_machine(purpose: str = "all") -> Sequence[Finding]:
    """What ``labctl doctor`` finds: each with ``name``, ``status``, ``seen`` and ``fix``.

    Args:
        purpose: ``embedded``, ``containerlab``, ``overlay``, ``paris``, ``tests`` or ``all``.

    Raises:
        InputError: no such purpose.
    """
    from labctl.doctor.model import ALL, Purpose  # noqa: PLC0415 - its checks import much
    from labctl.doctor.run import examine  # noqa: PLC0415
    from labctl.document.hints import nearest  # noqa: PLC0415

    known = [str(one) for one in Purpose]
    if purpose not in ("all", *known):
        raise InputError(
            [Problem("purpose", 0, 0, f"unknown purpose {purpose!r}", nearest(purpose, [*known, "all"]))]
        )
    return examine(ALL if purpose == "all" else frozenset({Purpose(purpose)}))


def _sets(sets: Mapping[str, Any] | None) -> tuple[str, ...]:
    """As ``--set`` takes them."""
    return tuple(
        f"{key}={str(value).lower() if isinstance(value, bool) else value}"
        for key, value in (sets or {}).items()
    )


def _suspect(events: Sequence[Event]) -> bool:
    """Whether the nodes' logs of a run are wanted."""
    return judge(events).runs[0].verdict is not Verdict.PASS


def _need_root(why: str) -> None:
    if os.geteuid() != 0:
        raise HostError(f"{why} takes root: run the program with sudo")
