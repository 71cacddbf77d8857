"""How effects of faults are told."""

from __future__ import annotations

from labctl.cli.format_effect import as_json, as_lines
from labctl.fault.types import CarrierChange, Effect

PEERS = (CarrierChange("r1", "eth1", 2_000_000), CarrierChange("r2", "eth3", 2_300_000))


def test_the_window_reaches_from_the_pull_to_the_last_peer() -> None:
    effect = Effect(
        "power-off", "gw1", 0, 2_000_000, 2_300_000, 9_000_000, PEERS, {"not_before_ns": 1_900_000}
    )
    assert as_json(effect)["window_us"] == 400.0


def test_without_a_known_pull_the_window_reaches_from_the_first_peer() -> None:
    effect = Effect("link-cut", "a:b", 0, 2_000_000, 2_300_000, 9_000_000, PEERS)
    assert as_json(effect)["window_us"] == 300.0


def test_every_peer_is_told_with_its_time_after_the_request() -> None:
    effect = Effect("power-off", "gw1", 1_000_000, 2_000_000, 2_300_000, 9_000_000, PEERS, {"mode": "cut"})
    assert as_lines(effect) == [
        "power-off gw1 (cut): done 8.000 ms after the request",
        "carrier lost at 2 peer ends, all within 300 µs",
        "  r1:eth1  +1.000 ms",
        "  r2:eth3  +1.300 ms",
    ]


def test_a_peer_that_saw_nothing_is_not_passed_over() -> None:
    effect = Effect("power-off", "gw1", 0, 5, 5, 5, (CarrierChange("r1", "eth1", 0),))
    assert as_lines(effect)[-1] == "  r1:eth1  no carrier change was seen"


def test_what_was_so_already_is_said_to_be() -> None:
    effect = Effect("power-off", "gw1", 0, 5, 5, 5, detail={"already": True})
    assert as_lines(effect) == ["power-off gw1: was so already"]
