"""Memory of an entry that is deleted serves another flow's at once: no packet may follow that one."""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING

import pytest
from trialrun import LOOPBACK, PORT, Trial, built

from labctl.overlay.datapath.layout import DatapathAction, FlowEntry, flow_key
from labctl.overlay.flow import Match
from labctl.overlay.packet import IP4, ethernet, ipv4, parse

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = pytest.mark.netns
SECONDS = 6.0
BURST = 200_000
A, B = b"\x02\0\0\0\0\x0a", b"\x02\0\0\0\0\x0b"
HERE, THERE, ELSEWHERE = (bytes(10) + b"\xff\xff\x0a\0\0" + bytes((last,)) for last in (1, 2, 3))


@pytest.fixture
def trial(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Trial]:
    made = Trial(built(tmp_path_factory.mktemp("bpf")))
    yield made
    made.close()


def _frame(dst: bytes) -> bytes:
    return ethernet(B, A, IP4, ipv4(HERE, dst, 17, b"\0\x07\0\x09\0\x08\0\0"))


def _keys(match: Match) -> tuple[bytes, bytes]:
    """Of the flow that is sent, and of another one that is not."""
    ours, other = parse(_frame(THERE)).key(PORT), parse(_frame(ELSEWHERE)).key(PORT + 1)
    return flow_key(ours, match), flow_key(other, match)


@pytest.mark.parametrize("match", [Match.EXACT, Match.INGRESS])
def test_no_packet_follows_the_entry_that_took_the_memory_of_its_own(trial: Trial, match: Match) -> None:
    ours, other = _keys(match)
    fixed = match is Match.INGRESS
    # Only the other flow is dropped; ours is let through, or goes to the agent.
    mine, theirs = FlowEntry(DatapathAction.PORT, LOOPBACK), FlowEntry(DatapathAction.DROP)
    over = threading.Event()
    turns = 0

    def churn() -> None:
        nonlocal turns
        while not over.is_set():
            trial.cache.write([(ours, mine)], fixed=fixed)
            trial.cache.remove([ours], fixed=fixed)
            trial.cache.write([(other, theirs)], fixed=fixed)
            trial.cache.remove([other], fixed=fixed)
            turns += 1

    writer = threading.Thread(target=churn)
    writer.start()
    end = time.monotonic() + SECONDS
    try:
        while time.monotonic() < end:
            trial.run(_frame(THERE), repeat=BURST)
    finally:
        over.set()
        writer.join()
    seen = trial.cache.counters()
    assert turns > 1000
    assert seen["hit"] > 1000  # there were moments for it
    assert seen["drop"] == 0
