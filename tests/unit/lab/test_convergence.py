"""Routes of a lab, read from outside."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from labctl.lab.convergence import destinations, loopbacks
from labctl.lab.state import LabDir

if TYPE_CHECKING:
    from pathlib import Path

TABLE = (
    "eth1\t0100FF0A\t0100FEA9\t0007\t0\t0\t20\tFFFFFFFF\t0\t0\t0",
    "eth1\t0000FE0A\t00000000\t0001\t0\t0\t0\tFEFFFFFF\t0\t0\t0",
)


def test_only_a_route_to_the_one_address_counts() -> None:
    assert destinations(TABLE) == {"10.255.0.1"}


def test_planned_loopbacks_are_known_and_foreign_ones_are_not(tmp_path: Path) -> None:
    lab = LabDir("settle", tmp_path)
    assert loopbacks(lab) == {}
    lab.definition.mkdir(parents=True)
    nodes = [{"name": "r1", "loopback4": "10.255.0.1/32"}, {"name": "s1", "loopback4": None}]
    (lab.definition / "lab.json").write_text(json.dumps({"nodes": nodes}))
    assert loopbacks(lab) == {"r1": "10.255.0.1"}
