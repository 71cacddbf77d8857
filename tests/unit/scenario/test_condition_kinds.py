"""Conditions as files: what each says of itself, and how those that are polled are waited for."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

import pytest
import yaml

from labctl.errors import ActionError
from labctl.scenario.kinds.condition import POLL_NS, Measured, Polled, Waiting
from labctl.scenario.kinds.registry import CONDITIONS
from labctl.testing.backend import FakeBackend

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from labctl.scenario.backend import LabBackend
    from labctl.scenario.kinds.condition import ConditionKind

ROOT = Path(__file__).parents[3]
SECOND = 1_000_000_000


@pytest.mark.parametrize("kind", CONDITIONS.values(), ids=lambda kind: kind.name)
def test_a_condition_says_what_it_is(kind: ConditionKind) -> None:
    found = kind.read(kind.entry.model_validate(yaml.safe_load(kind.example)))
    assert found.kind == kind.name
    assert str(found).startswith(f"{kind.name}: ")
    assert f"| `{kind.example}` | {kind.doc} |\n" in (ROOT / "docs/scenario.md").read_text()


@dataclass(frozen=True, slots=True)
class Scripted(Polled):
    """Holds when a rule says so."""

    kind: ClassVar[str] = "scripted"

    holds: Callable[[int], bool] = field(default=lambda _now: True)

    def poll(self, backend: LabBackend) -> Measured:
        if self.holds(backend.now_ns()):
            return Measured(met=True, values={})
        return Measured(met=False, values={"missing": {"gw1": "no"}})

    def nodes(self) -> Iterator[tuple[tuple[str | int, ...], str]]:
        yield (), "gw1"

    def words(self) -> str:
        return "so"


def wait(condition: Polled) -> tuple[Measured, int]:
    backend = FakeBackend(nodes=("gw1",))
    begin = backend.now
    return condition.wait(Waiting(backend, None, set, lambda _values: None)), backend.now - begin


START = FakeBackend().now


def test_it_is_polled_until_it_holds() -> None:
    found, took = wait(Scripted(5 * SECOND, 0, False, lambda now: now - START > SECOND))
    assert found.met
    assert SECOND <= found.values["took_ns"] <= SECOND + 2 * POLL_NS
    assert took <= SECOND + 2 * POLL_NS


def test_it_is_missed_when_its_time_is_over() -> None:
    found, took = wait(Scripted(2 * SECOND, 0, False, lambda _now: False))
    assert not found.met
    assert found.why == "gw1: no"
    assert 2 * SECOND <= took <= 2 * SECOND + 2 * POLL_NS


def test_it_must_hold_without_a_break() -> None:
    def holds(now: int) -> bool:
        return not SECOND <= now - START < 2 * SECOND

    found, took = wait(Scripted(9 * SECOND, 3 * SECOND, False, holds))
    assert found.met
    assert 2 * SECOND <= found.values["took_ns"] <= 2 * SECOND + 2 * POLL_NS
    assert 5 * SECOND <= took <= 5 * SECOND + 3 * POLL_NS


def test_what_begins_to_hold_in_time_may_hold_beyond_it() -> None:
    found, _ = wait(Scripted(SECOND, 3 * SECOND, False, lambda _now: True))
    assert found.met


def test_not_waits_until_it_holds_no_more() -> None:
    found, _ = wait(Scripted(5 * SECOND, 0, True, lambda now: now - START < SECOND))
    assert found.met
    assert found.values["took_ns"] >= SECOND
    missed, _ = wait(Scripted(SECOND, 0, True, lambda _now: True))
    assert not missed.met
    assert missed.why == "still: so"


def test_what_cannot_be_asked_does_not_hold() -> None:
    def broken(_now: int) -> bool:
        raise ActionError("gw1 is off")

    found, _ = wait(Scripted(SECOND, 0, False, broken))
    assert not found.met
    assert found.why == "gw1: gw1 is off"
    # That a node cannot be asked is no proof that something does not hold there.
    negated, _ = wait(Scripted(SECOND, 0, True, broken))
    assert not negated.met
