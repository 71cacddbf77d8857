"""The controller as a program: ``labctl-python -m labctl.nova SETTINGS.json``.

Events, in this order: ``service.started``, ``segment``, ``database.read`` (``networks``),
``initialized`` (``commands``), for each network ``network.started`` and ``network.done`` (``index``,
``label``, ``commands``), in between ``command``, ``command.unprivileged`` and ``apply``;
``networks.done`` (``commands``), ``queue.connected``; ``service.stopped``.
"""

from __future__ import annotations

import contextlib
import signal
import sys
from pathlib import Path
from typing import Any

from labctl.errors import LabctlError
from labctl.nova import queue
from labctl.nova.database import NovaNetwork, read_networks
from labctl.nova.eventlog import EventLog
from labctl.nova.firewall import Firewall
from labctl.nova.l3 import initialize
from labctl.nova.rootexec import RootExecutor
from labctl.nova.segments import try_segments
from labctl.nova.settings import NovaSettings, load_settings
from labctl.nova.tenant import Builder

__all__ = ["init_host", "main"]


def init_host(settings: NovaSettings, log: EventLog) -> None:
    """Build every network, one after the other, in the order of the range.

    Raises:
        LabctlError: the database does not answer, or a command failed.
    """
    settings.state.mkdir(parents=True, exist_ok=True)
    trial = try_segments(settings.interface)
    log.tell("segment", segment=trial.kind, reason=trial.reason)
    networks = read_networks(
        settings.database, settings.host, lambda error: log.tell("database.failed", error=error)
    )
    log.tell("database.read", networks=len(networks))
    execute = RootExecutor(settings.root_helper, log)
    firewall = Firewall(execute, log, settings.state / "iptables.lock", settings.traits)
    builder = Builder(settings, trial.kind, execute, firewall)
    try:
        with firewall.deferred() if settings.defer_applies else contextlib.nullcontext():
            initialize(settings, networks, execute, firewall)
            log.tell("initialized", commands=execute.count)
            _each(networks, builder, execute, log)
    finally:
        execute.close()
    log.tell("networks.done", networks=len(networks), commands=execute.count)


def _each(networks: tuple[NovaNetwork, ...], builder: Builder, execute: RootExecutor, log: EventLog) -> None:
    for network in networks:
        before = execute.count
        log.tell("network.started", index=network.index, label=network.label, gateway=network.gateway)
        with execute.for_network(network.index):
            builder.build(network)
        commands = execute.count - before
        log.tell("network.done", index=network.index, label=network.label, commands=commands)


def main() -> int:
    """Run until SIGTERM."""
    stopped: list[int] = []
    signal.signal(signal.SIGTERM, lambda number, _frame: _stop(stopped, number))
    settings = load_settings(Path(sys.argv[1]))
    with EventLog(settings.events) as log:
        log.tell("service.started", root_helper=settings.root_helper, **_behaviour(settings))
        try:
            init_host(settings, log)
            stopped.append(0)
            queue.serve(settings.queue, log, lambda: len(stopped) > 1)
        except LabctlError as error:
            log.tell("service.failed", error=str(error))
            print(f"nova-network: {error}", file=sys.stderr)  # noqa: T201 - the node's log
            return 1
        log.tell("service.stopped")
    return 0


def _stop(stopped: list[int], number: int) -> None:
    """While networks are built there is nothing to be finished: the process ends where it is."""
    if not stopped:
        sys.exit(128 + number)
    stopped.append(number)


def _behaviour(settings: NovaSettings) -> dict[str, Any]:
    names = ("release", "dhcpbridge", "send_arp_for_ha", "defer_applies")
    return {name: getattr(settings, name) for name in names}


if __name__ == "__main__":
    sys.exit(main())
