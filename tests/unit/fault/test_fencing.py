"""Fencing on a runtime that remembers: who is asked, what is confirmed, and when nobody asks."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import pytest

from labctl.errors import ActionError
from labctl.fault import fencing
from labctl.fault.types import Effect, PowerMode
from labctl.lab.runtime import ExecResult

if TYPE_CHECKING:
    from collections.abc import Sequence


@dataclass
class Nodes:
    """Answers what a node would: whether its agent has asked yet.

    Attributes:
        silent: so many looks find nothing.
        deaf: what the asker says when it cannot be told.
    """

    silent: int = 0
    deaf: str = ""
    looks: list[str] = field(default_factory=list)
    told: list[str] = field(default_factory=list)

    def exec(self, _lab: object, node: str, argv: Sequence[str], *, timeout_s: float) -> ExecResult:
        assert timeout_s > 0
        if argv[0] == "test":
            self.looks.append(f"{node} {argv[-1]}")
            return ExecResult(int(len(self.looks) <= self.silent), b"", b"")
        self.told.append(f"{node} {' '.join(argv)}")
        return ExecResult(int(bool(self.deaf)), b"", self.deaf.encode())


@pytest.fixture
def cuts(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, PowerMode]]:
    """What was cut; no lab is needed."""
    found: list[tuple[str, PowerMode]] = []

    def power_off(_runtime: object, _lab: object, node: str, mode: PowerMode, _listen: object) -> Effect:
        found.append((node, mode))
        return Effect("power-off", node, 1, 2, 3, 4, detail={"already": True})

    monkeypatch.setattr(fencing, "power_off", power_off)
    monkeypatch.setattr(fencing, "known_node", lambda _lab, _node: None)
    monkeypatch.setattr(fencing, "_POLL_S", 0.0)
    return found


def fence(nodes: Nodes) -> Effect:
    return fencing.fence(nodes, None, "nc1", "nc2", lambda _event: None)  # type: ignore[arg-type]


def test_power_is_cut_when_it_is_asked_for_and_not_before(cuts: list[tuple[str, PowerMode]]) -> None:
    nodes = Nodes(silent=3)
    effect = fence(nodes)
    assert nodes.looks == ["nc2 /run/labctl/fence/nc1"] * 4
    assert cuts == [("nc1", PowerMode.CUT)]
    assert (effect.action, effect.target) == ("fence", "nc1")
    # A node that was dark already is as good as one that was cut: the asker is told all the same.
    assert effect.detail["already"] is True
    assert nodes.told == ["nc2 touch /run/labctl/fence/nc1.off"]


def test_where_nobody_asks_nothing_is_cut(
    cuts: list[tuple[str, PowerMode]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fencing, "_ASKED_S", 0.0)
    nodes = Nodes(silent=10**9)
    with pytest.raises(ActionError, match="nc2 did not ask for nc1 to be fenced"):
        fence(nodes)
    assert cuts == []
    assert nodes.told == []


def test_an_asker_that_cannot_be_told_is_an_error(cuts: list[tuple[str, PowerMode]]) -> None:
    with pytest.raises(ActionError, match="nc2 could not be notified that nc1 is off: read-only"):
        fence(Nodes(deaf="read-only"))
    assert cuts == [("nc1", PowerMode.CUT)]
