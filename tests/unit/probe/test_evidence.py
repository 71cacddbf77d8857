"""What rings recorded, laid beside the lost packets."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from labctl.probe import payload
from labctl.probe.evidence import EndRecord, FaultEvidence, LostPackets, attribute_at_links
from labctl.probe.ring import Passages
from labctl.probe.types import Stream

UDP = Stream("in", "a", "b", "10.0.0.1", "10.0.0.2", flows=4)
PING = Stream("ping", "a", "b", "10.0.0.1", "10.0.0.2", proto="icmp", flows=2)
TOLD = 10_000_000_000
Row = tuple[int, str, Stream, int, int]  # time, "out" or "back" (with "reply"), stream, flow, sequence


def passages(*rows: Row) -> Passages:
    times, ways, streams, flows, sequences = zip(*rows, strict=True) if rows else ((), (), (), (), ())
    return Passages(
        t_ns=np.array(times, dtype=np.int64),
        outgoing=np.array([way.startswith("out") for way in ways], dtype=np.bool_),
        session=np.ones(len(times), dtype=np.int64),
        stream=np.array([payload.stream_id(stream.name) for stream in streams], dtype=np.int64),
        flow=np.array(flows, dtype=np.int64),
        sequence=np.array(sequences, dtype=np.int64),
        reply=np.array([way.endswith("reply") for way in ways], dtype=np.bool_),
    )


def end(*rows: Row, node: str = "r1", side: int = 0) -> EndRecord:
    return EndRecord(node, "eth1", side, TOLD - 10**9, TOLD + 10**7, 0, passages(*rows))


def lost(*packets: tuple[int, int]) -> LostPackets:
    flows, sequences = zip(*packets, strict=True) if packets else ((), ())
    return LostPackets(np.array(flows, dtype=np.int64), np.array(sequences, dtype=np.int64))


def attribute(
    ends: list[EndRecord], packets: dict[str, LostPackets], *, of_link: bool = False
) -> FaultEvidence:
    return attribute_at_links(ends, packets, [UDP, PING], told_ns=TOLD, of_link=of_link)


def test_a_lost_packet_that_was_transmitted_and_never_came_out_has_a_row() -> None:
    found = attribute([end((TOLD - 50, "out", UDP, 3, 7))], {"in": lost((3, 7))})
    assert found.lost == {"in": [[3, 7, 0, 0, TOLD - 50, 0]]}


def test_a_lost_packet_that_nobody_transmitted_has_none() -> None:
    found = attribute([end((TOLD - 50, "out", UDP, 3, 7))], {"in": lost((3, 8))})
    assert found.lost == {}


def test_a_packet_that_came_out_of_the_victim_again_says_when() -> None:
    ends = [end((TOLD - 90, "out", UDP, 1, 5)), end((TOLD - 40, "back", UDP, 1, 5), node="r2")]
    assert attribute(ends, {"in": lost((1, 5))}).lost == {"in": [[1, 5, 0, 0, TOLD - 90, TOLD - 40]]}


def test_of_a_rerouted_packet_the_last_transmission_counts() -> None:
    ends = [
        end((TOLD - 90, "out", UDP, 1, 5), (TOLD - 80, "back", UDP, 1, 5)),
        end((TOLD - 70, "out", UDP, 1, 5), node="r2"),
    ]
    assert attribute(ends, {"in": lost((1, 5))}).lost == {"in": [[1, 5, 0, 1, TOLD - 70, 0]]}


def test_question_and_answer_of_an_echo_are_told_apart() -> None:
    ends = [
        end((TOLD - 90, "out", PING, 1, 5), (TOLD - 60, "back", PING, 1, 5)),
        end((TOLD - 70, "back", PING, 1, 5), (TOLD - 65, "out reply", PING, 1, 5), node="r2"),
    ]
    rows = attribute(ends, {"ping": lost((1, 5))}).lost["ping"]
    assert rows == [[1, 5, 0, 0, TOLD - 90, TOLD - 70], [1, 5, 1, 1, TOLD - 65, 0]]


def test_a_link_is_crossed_from_one_end_to_the_other() -> None:
    ends = [
        end((TOLD - 90, "out", UDP, 0, 1), (TOLD - 85, "back", UDP, 0, 1)),
        end((TOLD - 80, "out", UDP, 0, 2), node="gw1", side=1),
    ]
    found = attribute(ends, {"in": lost((0, 1), (0, 2))}, of_link=True)
    assert found.lost == {"in": [[0, 1, 0, 0, TOLD - 90, 0], [0, 2, 0, 1, TOLD - 80, 0]]}


def test_the_transit_is_measured_in_the_second_before_the_fault() -> None:
    rows: list[Row] = []
    for number in range(100):
        t_ns = TOLD - 900_000_000 + number * 1_000_000
        rows += [(t_ns, "out", UDP, 0, number), (t_ns + 1000 + number, "back", UDP, 0, number)]
    rows += [(TOLD - 1_500_000_000, "out", UDP, 0, 999), (TOLD - 1_400_000_000, "back", UDP, 0, 999)]
    found = attribute([end(*sorted(rows))], {})
    assert (found.transit_p99_ns, found.transit_max_ns) == (1098, 1099)


def test_where_nothing_was_recorded_nothing_is_said() -> None:
    nothing = EndRecord("r1", "eth1", 0, 0, 0, 0, Passages.none())
    found = attribute([nothing], {"in": lost((0, 1))})
    assert found.lost == {}
    assert found.ends[0] == {
        "node": "r1", "interface": "eth1", "open_ns": 0, "closed_ns": 0, "frames": 0, "overrun": 0,
    }  # fmt: skip


@given(
    st.lists(st.tuples(st.integers(0, 3), st.integers(0, 2**40)), unique=True, max_size=20),
    st.data(),
)
def test_rows_name_exactly_the_lost_packets_that_were_transmitted(
    packets: list[tuple[int, int]], data: st.DataObject
) -> None:
    sent = [packet for packet in packets if data.draw(st.booleans())]
    gone = [packet for packet in packets if data.draw(st.booleans())]
    rows = [(TOLD - 1000 + at, "out", UDP, *packet) for at, packet in enumerate(sent)]
    found = attribute([end(*rows)], {"in": lost(*gone)})
    named = {(row[0], row[1]) for row in found.lost.get("in", [])}
    assert named == set(sent) & set(gone)


@pytest.mark.parametrize("stream", [UDP, PING])
def test_another_streams_packets_are_not_taken_for_its_own(stream: Stream) -> None:
    other = PING if stream is UDP else UDP
    found = attribute([end((TOLD - 50, "out", other, 1, 7))], {stream.name: lost((1, 7))})
    assert found.lost == {}
