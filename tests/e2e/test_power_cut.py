"""A power cut of a real router, as its peers see it: the carriers go at once, and nothing is said."""

from __future__ import annotations

import os
import sys
import time
import uuid
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from wiretap import BGP_NOTIFICATION, BGP_UPDATE, wiretap

from labctl import fault
from labctl.events import now_ns, silent
from labctl.fault.ends import far_ends
from labctl.fault.types import Effect, PowerMode
from labctl.lab import lifecycle
from labctl.lab.definition_cache import definition_of
from labctl.lab.loaded import load_lab_file
from labctl.lab.readiness import wait_ready

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from wiretap import Segment

    from labctl.lab.runtime import Runtime
    from labctl.lab.state import LabDir

pytestmark = [
    pytest.mark.netns,
    pytest.mark.slow,
    pytest.mark.skipif(os.geteuid() != 0, reason="needs root"),
    pytest.mark.skipif(not Path("/usr/lib/frr/bgpd").exists(), reason="needs FRR"),
]

TOPOLOGY = Path(__file__).parents[2] / "topologies" / "ecmp-gateways.yml"
GATEWAYS = ("gw1", "gw2", "gw3")
WINDOW_NS = 1_000_000
WITHIN = 0.9
READY_S = 60.0
CUTS = 51
AFTERWARDS_S = 1.0  # a dying node's FIN, RST or retransmission would come within this


@pytest.fixture(scope="module")
def gateways() -> Iterator[tuple[Runtime, LabDir]]:
    """The lab of the first demonstration: real FRR everywhere."""
    name = f"pc-{uuid.uuid4().hex[:8]}"
    root = Path("/run") / f"labctl-{name}"
    lab = lifecycle.bring_up(
        load_lab_file(TOPOLOGY, name=name), runtime="netns", timeout_s=READY_S, listen=silent, root=root
    )
    try:
        yield lifecycle.open_lab(name, root)[0], lab
    finally:
        lifecycle.take_down(lab, silent)


def _overheard(
    runtime: Runtime, lab: LabDir, node: str, mode: PowerMode
) -> tuple[Effect, list[Segment], list[Segment]]:
    """Power off under a tap at every peer: what came in the second before, and from the request on."""
    ends = [(runtime.netns(lab, end.node), end.interface) for end in far_ends(definition_of(lab), node)]
    with wiretap(ends) as heard:
        begin = now_ns()
        time.sleep(AFTERWARDS_S * 1.2)  # keepalives come once a second
        requested = now_ns()
        before = heard.since(begin)
        effect = fault.power_off(runtime, lab, node, mode, silent)
        time.sleep(AFTERWARDS_S)
        return effect, before, heard.since(requested)


def _return(runtime: Runtime, lab: LabDir, node: str) -> None:
    fault.power_on(runtime, lab, node, silent)
    wait_ready(runtime, lab, [node], READY_S, silent)


@pytest.mark.parametrize("node", ["gw1", "r1", "leaf1"])
def test_nothing_is_said_at_a_power_cut(gateways: tuple[Runtime, LabDir], node: str) -> None:
    runtime, lab = gateways
    try:
        effect, before, after = _overheard(runtime, lab, node, PowerMode.CUT)
        assert before, "the tap heard no BGP at all: it would not have heard a goodbye either"
        assert [segment for segment in after if segment.ends_it] == []
        said = [kind for segment in after for kind in segment.bgp_types()]
        assert BGP_NOTIFICATION not in said
        assert BGP_UPDATE not in said
        assert not [segment for segment in after if segment.t_ns > effect.last_ns + WINDOW_NS]
        assert all(change.t_ns for change in effect.carriers)
        assert "unseen" not in effect.detail
    finally:
        _return(runtime, lab, node)


def test_the_tap_hears_a_graceful_goodbye(gateways: tuple[Runtime, LabDir]) -> None:
    runtime, lab = gateways
    try:
        _, _, after = _overheard(runtime, lab, "gw2", PowerMode.GRACEFUL)
        said = [kind for segment in after for kind in segment.bgp_types()]
        assert BGP_NOTIFICATION in said or BGP_UPDATE in said or any(s.ends_it for s in after)
    finally:
        _return(runtime, lab, "gw2")


_SYN, _RST, _ACK = 0x02, 0x04, 0x10


def test_sockets_left_in_the_old_namespace_never_speak_again(gateways: tuple[Runtime, LabDir]) -> None:
    """At power-on the links move to a fresh namespace: no old session's segment comes by them."""
    runtime, lab = gateways
    ends = [(runtime.netns(lab, end.node), end.interface) for end in far_ends(definition_of(lab), "gw3")]
    with wiretap(ends) as heard:
        fault.power_off(runtime, lab, "gw3", PowerMode.CUT, silent)
        off = now_ns()
        time.sleep(0.5)
        fault.power_on(runtime, lab, "gw3", silent)
        wait_ready(runtime, lab, ["gw3"], READY_S, silent)
        after = heard.since(off)
    opening = next(number for number, segment in enumerate(after) if segment.flags & _SYN)
    # The peers go on with the old sessions; the fresh kernel refuses, as that of a rebooted router
    # does: a reset without data. From the old sockets data, an acknowledgement or a FIN would come.
    assert [segment for segment in after[:opening] if segment.flags & ~(_RST | _ACK) or segment.payload] == []
    assert [segment for segment in after[:opening] if not segment.flags & _RST] == []


def test_cuts_take_all_carriers_within_a_millisecond(
    gateways: tuple[Runtime, LabDir], record_property: Callable[[str, object], None]
) -> None:
    runtime, lab = gateways
    windows = []
    for number in range(CUTS):
        node = GATEWAYS[number % len(GATEWAYS)]
        effect = fault.power_off(runtime, lab, node, PowerMode.CUT, silent)
        assert "unseen" not in effect.detail
        windows.append(effect.last_ns - effect.first_ns)
        effect = fault.power_on(runtime, lab, node, silent)
        assert "unseen" not in effect.detail
    wait_ready(runtime, lab, list(GATEWAYS), READY_S, silent)
    windows.sort()
    told = {"p50": windows[CUTS // 2], "p95": windows[int(CUTS * 0.95)], "max": windows[-1]}
    for name, value in told.items():
        record_property(f"window_ns_{name}", value)
    sys.stdout.write(
        f"\nwindow over {CUTS} cuts: " + ", ".join(f"{k} {v / 1e3:.0f} us" for k, v in told.items()) + "\n"
    )
    # A machine that gives the processor to somebody else in the middle of a cut delays what the
    # monitors hear of it; such cuts are told of above, and are few.
    within = sum(window < WINDOW_NS for window in windows) / CUTS
    assert windows[CUTS // 2] < WINDOW_NS, told
    assert within >= WITHIN, f"{within:.0%} of {CUTS} cuts: {told}"
