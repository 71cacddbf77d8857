"""The node that ``up`` proposes to take away: by what it acts as, not by the name of its role."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from labctl.clab.parse import read_definition
from labctl.cli.up import _victim
from labctl.load import load_topology
from labctl.render import render
from labctl.shipped import folder

if TYPE_CHECKING:
    from pathlib import Path


@pytest.mark.slow
@pytest.mark.parametrize(
    ("topology", "expected"),
    [
        ("ecmp-gateways", "gw1"),
        ("ring", "r1"),
        ("zero-loss-gateway", "gw1"),
        ("vrrp-pair", "gw1"),
        ("paris-nova", "nc1"),
        ("pair", ""),
    ],
)
def test_a_gateway_before_a_router_before_nothing(tmp_path: Path, topology: str, expected: str) -> None:
    lab = load_topology(folder("topologies") / f"{topology}.yml")
    assert _victim(read_definition(render(lab, tmp_path / "out"))) == expected
