"""The probe's helper processes: stalled, killed, orphaned, started from a passing thread, overrun."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from probebed import Bed, bed, children_of

from labctl.errors import ProbeError
from labctl.probe import payload, shared_memory, start_traffic
from labctl.probe.mmsg import Inbox
from labctl.probe.receiver import ReceivedStream, open_socket

if TYPE_CHECKING:
    from collections.abc import Iterator

    from labctl.probe import Traffic

pytestmark = [pytest.mark.netns, pytest.mark.skipif(os.geteuid() != 0, reason="needs root")]


@pytest.fixture(scope="module")
def routed() -> Iterator[Bed]:
    with bed(routed=True) as made:
        yield made


def test_a_stalled_sender_is_the_sender_s_fault(routed: Bed) -> None:
    with start_traffic(routed.netns, routed.both_ways()) as traffic:
        time.sleep(0.3)
        pid = children_of(os.getpid(), "labctl-sender")[0]
        os.kill(pid, signal.SIGSTOP)
        time.sleep(0.4)
        os.kill(pid, signal.SIGCONT)
        time.sleep(0.3)
        told = traffic.stop()
    for each in told:
        assert each.lost == 0
        assert each.generator.skipped == pytest.approx(600, abs=60)  # 400 ms less 100 ms caught up
        assert each.generator.late_max_ns <= 100_000_000
        longest = max(length for _start, length in each.generator.pauses)
        assert longest == pytest.approx(400e6, abs=40e6)


@pytest.mark.parametrize("role", ["labctl-sender", "labctl-receive"])
def test_a_dead_helper_is_never_a_silent_zero(routed: Bed, role: str) -> None:
    with start_traffic(routed.netns, routed.both_ways()) as traffic:
        time.sleep(0.2)
        os.kill(children_of(os.getpid(), role)[0], signal.SIGKILL)
        time.sleep(0.1)
        with pytest.raises(ProbeError, match="was killed by signal 9"):
            traffic.window(traffic.started_ns, traffic.started_ns + 100_000_000)
        with pytest.raises(ProbeError, match="was killed by signal 9"):
            traffic.stop()


def test_the_parent_s_sudden_death_leaves_no_process(routed: Bed) -> None:
    program = (
        "import sys, time\n"
        "from pathlib import Path\n"
        "from labctl.probe import Stream, start_traffic\n"
        f"s = Stream('in', 'a', 'b', {routed.address('a', 4)!r}, {routed.address('b', 4)!r})\n"
        f"t = start_traffic(lambda n: Path('/run/netns/{routed.prefix}-' + n), [s])\n"
        "print('started', flush=True)\n"
        "time.sleep(60)\n"
    )
    parent = subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE)
    assert parent.stdout is not None
    assert parent.stdout.readline() == b"started\n"
    helpers = children_of(parent.pid, "labctl-")
    assert len(helpers) == 2
    parent.kill()
    parent.wait()
    parent.stdout.close()
    deadline = time.monotonic() + 2.0
    while time.monotonic() < deadline and any(Path(f"/proc/{pid}").exists() for pid in helpers):
        time.sleep(0.01)
    assert not [pid for pid in helpers if Path(f"/proc/{pid}").exists()]


def test_traffic_outlives_the_thread_that_started_it(routed: Bed) -> None:
    """The kernel's death signal is of the parent's thread; the helpers must look closer."""
    started: list[Traffic] = []
    thread = threading.Thread(target=lambda: started.append(start_traffic(routed.netns, routed.both_ways())))
    thread.start()
    thread.join()
    with started[0] as traffic:
        time.sleep(0.3)
        told = traffic.stop()
    assert [each.lost for each in told] == [0, 0]
    assert all(each.sent > 500 for each in told)


def test_what_the_receiver_cannot_keep_is_counted_to_the_packet() -> None:
    """A buffer far too small, on loopback: every packet is either handed over or counted."""
    buffer = shared_memory.SampleBuffer.new("test", 4000)
    here = os.open("/proc/self/ns/net", os.O_RDONLY)
    config = {
        "netns_fd": here,
        "proto": "udp",
        "family": 4,
        "address": "127.0.0.1",
        "port": 50500,
        "buffer_fd": buffer.fd,
        "capacity": 4000,
        "session": 7,
        "stream": 8,
        "flows": 4,
        "packets": 1000,
    }
    sock, port = open_socket(config)
    with sock, socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 65536)
        lane = ReceivedStream(config, sock)
        for k in range(1000):
            sender.sendto(payload.payload(7, 8, k % 4, k // 4), ("127.0.0.1", port))
        inbox = Inbox(512, 96)
        while got := inbox.receive(lane.fd):
            lane.take(inbox, got, 0)
        lane.note(0)
    os.close(here)
    assert buffer.words[shared_memory.OVERFLOWED] > 0
    assert buffer.words[shared_memory.COUNT] + buffer.words[shared_memory.OVERFLOWED] == 1000
    assert buffer.words[shared_memory.FOREIGN] == 0
    assert lane.log[: lane.count, 0].tolist() == list(range(lane.count))
