"""Entries that the kernel makes from megaflows, frame by frame: made anew, out of use, while they change."""

from __future__ import annotations

import struct
import threading
import time
from typing import TYPE_CHECKING

import pytest
from trialrun import LOOPBACK, PORT, REDIRECT, Trial, built

from labctl.overlay.datapath.layout import (
    INDICES,
    ConnRef,
    ConnRequirement,
    DatapathAction,
    Flag,
    FlowEntry,
    PortRecord,
    Variant,
    flow_key,
    megaflow_key,
)
from labctl.overlay.flow import FlowKey, Match, ReadPorts
from labctl.overlay.packet import IP4, TCP, ethernet, ipv4, parse

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

pytestmark = pytest.mark.netns
A, B = b"\x02\0\0\0\0\x0a", b"\x02\0\0\0\0\x0b"
V4A, V4B = bytes(10) + b"\xff\xff\x0a\0\0\1", bytes(10) + b"\xff\xff\x0a\0\0\2"
GENERATION = INDICES + 1


@pytest.fixture(scope="module")
def target(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return built(tmp_path_factory.mktemp("bpf"))


@pytest.fixture
def trial(target: Path) -> Iterator[Trial]:
    made = Trial(target)
    yield made
    made.close()


def frame(port: int) -> bytes:
    """A client's first packet, from that port, to a service."""
    body = struct.pack("!HHIIBBHHH", port, 80, 0, 0, 0x50, 2, 0, 0, 0)
    return ethernet(B, A, IP4, ipv4(V4A, V4B, TCP, body))


def flow(port: int) -> FlowKey:
    return parse(frame(port)).key(PORT)


def variant(generation: int, dmac: bytes = B) -> bytes:
    """Let it through, whatever is known."""
    entry = FlowEntry(
        DatapathAction.PORT, LOOPBACK, flags=Flag.MACS, dmac=dmac, smac=A, generation=generation
    )
    return Variant((), 65535, 1, entry).pack()


def use_megaflow(trial: Trial, generation: int) -> None:
    trial.cache.write_megaflow(megaflow_key(flow(1), ReadPorts.DESTINATION), [variant(generation)])
    trial.cache.activate([generation])


def sent(trial: Trial, ports: range) -> dict[str, int]:
    """What was counted while each of them sent a packet."""
    before = trial.cache.counters()
    for port in ports:
        trial.run(frame(port))
    return {name: value - before[name] for name, value in trial.cache.counters().items()}


def test_flows_whose_megaflow_is_made_anew_go_on_at_once_however_small_the_rate_limit(
    trial: Trial,
) -> None:
    """They had their entries: nobody else's are driven out."""
    use_megaflow(trial, GENERATION)
    ports = range(1000, 1200)
    assert sent(trial, ports)["made"] == len(ports)
    trial.bind(PortRecord(PORT, 1, 5))
    use_megaflow(trial, GENERATION + INDICES)
    counted = sent(trial, ports)
    assert (counted["made"], counted["upcall"], counted["rate_limited"]) == (len(ports), 0, 0)
    # New ones are limited as before.
    assert sent(trial, range(2000, 2200))["made"] < 20


def test_what_is_out_of_use_hides_no_entry_for_all_packets_of_its_ingress(trial: Trial) -> None:
    """A gateway's way out: it asks nobody."""
    use_megaflow(trial, GENERATION)
    assert sent(trial, range(1000, 1001))["made"] == 1
    trial.cache.write(
        [(flow_key(flow(1), Match.INGRESS), FlowEntry(DatapathAction.PORT, LOOPBACK))], fixed=True
    )
    trial.cache.write_megaflow(megaflow_key(flow(1), ReadPorts.DESTINATION), [])
    trial.cache.activate([GENERATION + INDICES])
    counted = sent(trial, range(1000, 1001))
    assert (counted["hit"], counted["upcall"]) == (1, 0)
    assert trial.run(frame(1000)).verdict == REDIRECT


def test_no_flow_gets_an_entry_of_another_ones_megaflow_while_megaflows_are_written(trial: Trial) -> None:
    """The kernel gives the memory of an overwritten megaflow to the next one while somebody reads it."""
    mine, theirs = (
        megaflow_key(flow(1), ReadPorts.DESTINATION),
        megaflow_key(flow(1)._replace(ingress=7), ReadPorts.NONE),
    )
    # What is made of the first is never in use, so that each packet makes it anew; the other's would stay.
    trial.cache.activate([GENERATION + INDICES, GENERATION + 1])
    written = threading.Event()

    def write() -> None:
        megaflows = trial.loaded.maps["lc_megaflows"]
        values = [
            variant(GENERATION).ljust(4 * len(variant(1)), b"\0"),
            variant(GENERATION + 1, b"theirs") * 4,
        ]
        while not written.is_set():
            trial.bpf.update_batch(megaflows, (mine + theirs) * 500, b"".join(values) * 500, 1000)

    writer = threading.Thread(target=write)
    writer.start()
    end = time.monotonic() + 0.5
    found = set()
    try:
        while time.monotonic() < end:
            trial.run(frame(1000), repeat=1000)
            entry = trial.cache.entry(flow(1000).pack())
            found |= {entry.dmac} if entry is not None else set()
    finally:
        written.set()
        writer.join()
    assert found == {B}


def test_the_kernel_opens_connections_up_to_the_ports_ceiling_and_counts_what_it_refuses(
    trial: Trial,
) -> None:
    opens = FlowEntry(
        DatapathAction.PORT,
        LOOPBACK,
        generation=GENERATION,
        conns=(ConnRef(PORT, inbound=False, is_sender=True),),
    )
    trial.cache.limit_connections(PORT, 50)
    trial.cache.write_megaflow(
        megaflow_key(flow(1), ReadPorts.DESTINATION), [Variant((), 65535, 1, opens).pack()]
    )
    trial.cache.activate([GENERATION])
    others = ConnRef(PORT + 1, inbound=False, is_sender=True).of(flow(1)).pack()
    trial.cache.remember_connections([(others, 2)])

    counted = sent(trial, range(1000, 1200))
    known = [key for rows in trial.cache.connections() for key, _ in rows]
    assert len(known) == 50 + 1
    assert others in known
    assert counted["hit"] == 50, "a packet whose connection is refused does not pass"
    assert counted["refused"] >= 150
    assert trial.cache.connection_quotas()[PORT][0] == 50
    # Those that are open go on, and with more room so do others.
    assert sent(trial, range(1000, 1050))["hit"] == 50
    trial.cache.limit_connections(PORT, 60)
    assert sent(trial, range(1050, 1100))["hit"] == 10


def test_a_connection_is_answered_by_the_first_packet_of_the_reply(trial: Trial) -> None:
    ref = ConnRef(PORT, inbound=True, is_sender=True, wanted=ConnRequirement.KNOWN)
    conn = ref.of(flow(1000)).pack()
    trial.cache.remember_connections([(conn, 2)])
    reply = FlowEntry(DatapathAction.PORT, LOOPBACK, conns=(ref,), last_ns=time.monotonic_ns())
    trial.cache.write([(flow(1000).pack(), reply)])
    trial.run(frame(1000))
    ((_, seen),) = [row for rows in trial.cache.connections() for row in rows]
    assert seen > 2
    assert seen & 1
