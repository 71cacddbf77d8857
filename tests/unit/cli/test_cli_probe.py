"""labctl probe: what it prints and its exit code, from tallies made by hand."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
import typer

from labctl.cli.probe import CANNOT_TELL, LOST, is_address, seconds, show, verdict
from labctl.probe.types import FlowTally, GeneratorHealth, LossPeriod, ReceiverHealth, Stream, StreamTally

if TYPE_CHECKING:
    from typing import Any

FINE = StreamTally(
    stream=Stream("a->b", "a", "b", "10.0.0.1", "10.0.0.2"),
    start_ns=1_000_000_000,
    end_ns=2_000_000_000,
    sent=1000,
    received=1000,
    lost=0,
    duplicated=0,
    reordered=0,
    delay_p50_ns=7000,
    delay_p99_ns=9000,
    delay_max_ns=12000,
    generator=GeneratorHealth(1000, 0, 0, 1000, 2000, 3000),
    receiver=ReceiverHealth(),
)


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({}, 0),
        ({"received": 999, "lost": 1}, LOST),
        ({"sent": 0, "received": 0}, CANNOT_TELL),
        ({"lost": 1, "generator": GeneratorHealth(1000, 0, 1, 0, 0, 0)}, CANNOT_TELL),
        ({"lost": 1, "receiver": ReceiverHealth(overflowed=1)}, CANNOT_TELL),
    ],
)
def test_the_exit_code_never_calls_a_doubtful_measurement_good(change: dict[str, Any], code: int) -> None:
    assert verdict([FINE, replace(FINE, **change)]) == code


def test_losses_are_printed_with_start_length_and_error_bar(capsys: pytest.CaptureFixture[str]) -> None:
    loss = LossPeriod(5, 3, 1_250_000_000, 1_275_000_000, 38_400_000, 12_800_000)
    flow = FlowTally(17, 20017, 50000, 100, 97, 3, 0, 0, (loss,))
    show([replace(FINE, received=997, lost=3, flows=(flow,))])
    told = capsys.readouterr()
    assert "a->b flow 17: 3 lost from +0.250 s, outage 38.4 ms +- 12.8 ms\n" in told.out
    assert "sender late by 2 µs (p99), 3 µs at most" in told.err


def test_many_loss_periods_are_cut_and_the_cut_is_told(capsys: pytest.CaptureFixture[str]) -> None:
    losses = tuple(
        LossPeriod(k, 1, 1_000_000_000 + k, 1_000_000_000 + k, 1, 1, open=k == 0) for k in range(30)
    )
    show([replace(FINE, lost=30, flows=(FlowTally(0, 1, 2, 1000, 970, 30, 0, 0, losses),))])
    told = capsys.readouterr().out
    assert told.count(" lost from ") == 20
    assert "10 more loss periods" in told
    assert "not over at the end" in told


@pytest.mark.parametrize(("text", "want"), [("2.5", 2.5), ("2.5s", 2.5), ("500ms", 0.5), ("2m", 120.0)])
def test_a_duration_may_have_a_unit(text: str, want: float) -> None:
    assert seconds(text) == want


@pytest.mark.parametrize("text", ["", "0", "-1", "nan", "inf", "3x", "2d", "100000"])
def test_a_duration_that_is_none_is_refused(text: str) -> None:
    with pytest.raises(typer.BadParameter):
        seconds(text)


def test_an_address_is_no_node() -> None:
    assert is_address("fd00::1")
    assert is_address("192.0.2.1")
    assert not is_address("gw1")
