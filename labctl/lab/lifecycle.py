"""Brings labs up, finds running labs, takes labs down: shared by the commands and the scenario runner."""

from __future__ import annotations

import contextlib
import time
from dataclasses import replace
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING

from labctl import signals
from labctl.errors import (
    HostError,
    LabBusyError,
    LabError,
    LabExistsError,
    LabInterrupted,
    LabNotFoundError,
)
from labctl.events import Event
from labctl.lab import cleanup
from labctl.lab.convergence import wait_settled
from labctl.lab.ecmp_seed import set_ecmp_seeds
from labctl.lab.readiness import wait_ready
from labctl.lab.state import STATE_ROOT, LabDir, LabRecord, labs

if TYPE_CHECKING:
    from collections.abc import Iterator

    from labctl.clab.definition import Definition
    from labctl.events import Listener
    from labctl.lab.loaded import LoadedLab
    from labctl.lab.runtime import Runtime

__all__ = ["RUNTIMES", "bring_up", "choose_runtime", "open_lab", "take_down", "wait_ready"]

RUNTIMES = {
    "containerlab": ("labctl.runtime.containerlab.runtime", "ContainerlabRuntime"),
    "netns": ("labctl.runtime.embedded.runtime", "NetnsRuntime"),
}
"""Module and class by name; imported when chosen."""

_SETTLE_S = 10.0
"""How long at the most routes may come and go once every node is ready."""


def choose_runtime(name: str, definition: Definition | None = None) -> tuple[Runtime, str]:
    """The runtime of that name; for ``auto`` containerlab where the machine can run it, else netns.

    Args:
        name: ``auto``, ``netns`` or ``containerlab``.
        definition: what is to run; images and programs of it are looked for too.

    Returns:
        The runtime and, in one line, why it.

    Raises:
        HostError: this machine does not meet the requirements; each missing one is named with its fix.
    """
    if name not in ("auto", *RUNTIMES):
        raise HostError(f"unknown runtime {name!r}: expected auto, {', '.join(RUNTIMES)}")
    if name != "auto":
        runtime = _runtime(name)
        missing = runtime.missing(definition)
        if missing:
            raise HostError(f"runtime {name} cannot run here:\n" + "\n".join(f"  {item}" for item in missing))
        return runtime, "as asked"
    containerlab = _runtime("containerlab")
    missing = containerlab.missing(definition)
    if not missing:
        return containerlab, "containerlab, engine and images are there"
    embedded = _runtime("netns")
    also = embedded.missing(definition)
    if also:
        lines = [f"  netns: {item}" for item in also] + [f"  containerlab: {item}" for item in missing]
        raise HostError("no runtime can run this here:\n" + "\n".join(lines))
    return embedded, f"containerlab cannot run it: {missing[0]}"


def bring_up(
    loaded: LoadedLab,
    *,
    runtime: str,
    timeout_s: float,
    listen: Listener,
    root: Path = STATE_ROOT,
) -> LabDir:
    """Render, start, and wait until every node is ready.

    Args:
        loaded: what is to run; see :func:`labctl.lab.loaded.load_lab_file`.
        runtime: see :func:`choose_runtime`.
        timeout_s: seconds for all nodes to become ready.
        listen: gets the events.
        root: where the state of labs is kept.

    Returns:
        The lab, running.

    Raises:
        InputError: a role is wrong; nothing was changed.
        HostError: this machine lacks something; nothing was changed.
        LabExistsError: a lab of that name is there, or on its way; nothing was changed.
        NodeError: a node did not start or did not become ready; all is taken down again.
        LabInterrupted: SIGINT, SIGTERM or SIGHUP came; all is taken down again.
    """
    lab = LabDir(loaded.lab.name, root)
    # Signals interrupt the start alone: claiming the name and undoing are never cut short, and a caller
    # who holds signals too is given the lab that is up before a signal raises.
    with signals.handled(), signals.held(), _claimed(lab):
        try:
            with signals.released():
                _start(lab, loaded, runtime=runtime, timeout_s=timeout_s, listen=listen)
        except BaseException as error:
            _undo(lab, listen)
            if isinstance(error, KeyboardInterrupt):
                raise LabInterrupted(
                    f"lab {lab.name} was interrupted while it started; labctl took it down"
                ) from None
            if isinstance(error, OSError):
                where = f"{error.filename}: " if error.filename is not None else ""
                raise LabError(f"lab {lab.name} could not be started: {where}{error.strerror}") from error
            raise
    return lab


def take_down(lab: LabDir, listen: Listener) -> None:
    """Take a lab down, from any half-made state; repeating it is no error.

    Raises:
        LabBusyError: another labctl is changing it.
        LabError: something would not go.
    """
    if not lab.path.exists():
        return
    with lab.lock():
        _remove(lab, listen)


def open_lab(name_or_topology: str, root: Path = STATE_ROOT) -> tuple[Runtime, LabDir]:
    """A running lab, by its name or by its file.

    Raises:
        LabNotFoundError: there is none, or several were made from that file.
    """
    lab = LabDir(name_or_topology, root)
    if "/" in name_or_topology or not lab.path.is_dir():
        wanted = Path(name_or_topology).resolve()
        made = [each for each in labs(root) if _topology_of(each) == wanted]
        if len(made) > 1:
            names = ", ".join(each.name for each in made)
            raise LabNotFoundError(f"several labs were made from {name_or_topology}: name one of {names}")
        lab = made[0] if made else lab
    return _runtime(lab.record().runtime), lab


def _start(lab: LabDir, loaded: LoadedLab, *, runtime: str, timeout_s: float, listen: Listener) -> None:
    definition = _definition(lab, loaded)
    chosen, reason = choose_runtime(runtime, definition)
    record = LabRecord(
        lab.name, chosen.name, str(loaded.source), str(definition.path), "starting", time.time()
    )
    lab.write_record(record)
    facts = {"lab": lab.name, "runtime": chosen.name, "reason": reason}
    listen(Event("lab.starting", data={**facts, "nodes": [node.name for node in definition.nodes]}))
    from labctl.lab.definition_cache import save_definition  # noqa: PLC0415 - beside its only use

    save_definition(lab, definition)
    chosen.up(lab, definition, listen)
    set_ecmp_seeds(chosen, lab, [node.name for node in definition.nodes])
    wait_ready(chosen, lab, [node.name for node in definition.nodes], timeout_s, listen)
    wait_settled(chosen, lab, _SETTLE_S)
    lab.write_record(replace(record, phase="up"))
    listen(Event("lab.up", data=facts))


def _definition(lab: LabDir, loaded: LoadedLab) -> Definition:
    if loaded.definition is not None:
        return loaded.definition
    from labctl.clab.parse import read_definition  # noqa: PLC0415 - brings YAML in
    from labctl.render import render  # noqa: PLC0415 - brings Jinja in

    return read_definition(render(loaded.lab, lab.definition))


@contextlib.contextmanager
def _claimed(lab: LabDir) -> Iterator[None]:
    """Lock the name of a lab that does not exist yet.

    Raises:
        LabExistsError: it is taken.
    """
    try:
        held = lab.lock()
        held.__enter__()
    except LabBusyError:
        raise LabExistsError(f"lab {lab.name!r} is being changed by another labctl right now") from None
    except OSError as error:
        raise LabError(f"cannot write the state of lab {lab.name!r}: {lab.path}: {error.strerror}") from error
    try:
        if (lab.path / "state.json").exists():
            raise LabExistsError(_taken(lab))
        yield
    finally:
        held.__exit__(None, None, None)


def _taken(lab: LabDir) -> str:
    try:
        record = lab.record()
    except LabNotFoundError:
        record = None
    if record and record.phase == "up":
        return (
            f"lab {lab.name!r} is up already, on {record.runtime}, from {record.topology}: "
            f"give this one another name with --name, or take that one down with: labctl down {lab.name}"
        )
    return (
        f"lab {lab.name!r} is incomplete: a labctl was killed while it worked on it: labctl down {lab.name}"
    )


def _undo(lab: LabDir, listen: Listener) -> None:
    """Clean up after a failed start. What cannot be removed is left for `labctl down` to try again."""
    with contextlib.suppress(LabError):
        _remove(lab, listen)


def _remove(lab: LabDir, listen: Listener) -> None:
    """With the lock held."""
    try:
        record = lab.record()
    except LabNotFoundError:
        record = None
    if record:
        listen(Event("lab.stopping", data={"lab": lab.name, "runtime": record.runtime}))
        with contextlib.suppress(OSError):  # a full disk must not stop anybody from making room
            lab.write_record(replace(record, phase="stopping"))
        if record.runtime in RUNTIMES:
            _runtime(record.runtime).down(lab, listen)
    cleanup.sweep(lab)
    cleanup.remove_folder(lab)
    if record:
        listen(Event("lab.down", data={"lab": lab.name, "runtime": record.runtime}))


def _runtime(name: str) -> Runtime:
    try:
        module, kind = RUNTIMES[name]
    except KeyError:
        raise LabNotFoundError(f"no runtime is named {name!r}: {', '.join(RUNTIMES)}") from None
    runtime: Runtime = getattr(import_module(module), kind)()
    return runtime


def _topology_of(lab: LabDir) -> Path | None:
    try:
        return Path(lab.record().topology)
    except LabNotFoundError:
        return None
