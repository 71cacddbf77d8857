"""What docs/overlay.md shows is true."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import yaml

from labctl.overlay.config.model import Group, Network, Peering
from labctl.overlay.config.topology_section import LabFacts, plan_overlay, pools_of, underlay_of

TEXT = (Path(__file__).parents[3] / "docs" / "overlay.md").read_text()
TAGS = Path(__file__).parents[3] / "labctl" / "overlay" / "simulation" / "dependencies.py"


def section() -> dict[str, object]:
    found = re.search(r"```yaml\n(overlay:.*?)```", TEXT, re.DOTALL)
    assert found
    read: dict[str, object] = yaml.safe_load(found[1])["overlay"]
    return read


@pytest.mark.slow
def test_the_section_in_the_documentation_can_be_planned() -> None:
    items = plan_overlay(section(), LabFacts())
    names = {kind: {item.name for item in items if type(item) is kind} for kind in (Network, Group, Peering)}
    assert names[Network] == {*(f"t{n}-net" for n in range(1, 151)), "shop-front", "shop-back"}
    assert "web" in names[Group]
    assert names[Peering] == {"t1.t2"}


def test_the_values_it_shows_are_the_defaults() -> None:
    shown = section()
    assert shown["anycast"] == underlay_of({}).anycast
    assert pools_of({key: shown[key] for key in ("ipv4", "ipv6", "mtu")}) == pools_of({})


def test_every_tag_of_the_simulation_is_in_the_table() -> None:
    table = set(re.findall(r"^``([a-z]+)", TAGS.read_text(), re.MULTILINE))
    used = set()
    for path in TAGS.parent.glob("*.py"):
        used |= set(re.findall(r'f?"([a-z]+):\{', path.read_text()))
    assert used <= table, used - table
