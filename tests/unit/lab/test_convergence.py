"""Routes of a lab, read from outside."""

from __future__ import annotations

from dataclasses import replace
from ipaddress import IPv4Interface
from typing import TYPE_CHECKING

from labctl.lab.convergence import destinations, loopbacks
from labctl.lab.state import LabDir, LabRecord
from labctl.model.codec import dump_lab
from labctl.model.lab import Lab, NodePlan

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
    rendered = str(lab.definition / "settle.clab.yml")
    record = LabRecord("settle", "netns", "/t.yml", "/theirs/settle.clab.yml", "up", 0.0)
    lab.write_record(record)
    assert loopbacks(lab) == {}
    lab.write_record(replace(record, definition=rendered))
    lab.definition.mkdir(parents=True)
    nodes = (
        NodePlan("r1", "router", 0, loopback4=IPv4Interface("10.255.0.1/32")),
        NodePlan("s1", "switch", 1),
    )
    (lab.definition / "lab.json").write_text(dump_lab(Lab("settle", nodes, ())))
    assert loopbacks(lab) == {"r1": "10.255.0.1"}
