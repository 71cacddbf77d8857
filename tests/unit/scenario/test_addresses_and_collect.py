"""A flow to each of many addresses, and what nodes write of themselves."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from labctl.scenario.addresses import addresses_of
from labctl.scenario.collect import Collector
from labctl.scenario.model import Collection
from labctl.testing.backend import FakeBackend

if TYPE_CHECKING:
    from labctl.events import Event

LINE = {"kind": "network.done", "t_ns": 17, "data": {"index": 0}}


def test_ranges_and_variables_make_addresses_in_order() -> None:
    assert addresses_of("10.40.[1-{n}].1", {"n": 3}) == ("10.40.1.1", "10.40.2.1", "10.40.3.1")
    assert addresses_of("192.0.2.1", {}) == ("192.0.2.1",)


@pytest.mark.parametrize(
    ("pattern", "family", "why"),
    [
        ("10.40.[1-{nets}].1", 4, "no variable 'nets'"),
        ("10.40.[1-{n}.1", 4, "bracket"),
        ("10.40.[254-256].1", 4, "256"),
        ("10.0.0.1", 6, "no IPv6 address"),
    ],
)
def test_what_is_no_address_is_told(pattern: str, family: int, why: str) -> None:
    with pytest.raises(ValueError, match=why):
        addresses_of(pattern, {"n": 3}, family)


def test_every_line_is_told_once_with_its_own_time_and_what_is_no_event_is_passed_over() -> None:
    told: list[Event] = []
    content = json.dumps(LINE) + '\nnot JSON\n{"kind": "cut off'
    backend = FakeBackend(("a", "b"), files={("a", "/x"): content.encode()})
    collector = Collector(backend, [Collection("a", "/x"), Collection("b", "/x")], told.append)
    collector.collect()
    collector.collect()
    events = [event for event in told if event.kind == "node.event"]
    assert [(event.t_ns, event.data) for event in events] == [
        (17, {"node": "a", "kind": "network.done", "data": {"index": 0}})
    ]
    assert {event.data["node"] for event in told if event.kind == "collect.failed"} == {"b"}
