"""A lab on a kernel in memory: nothing here reaches the machine's own interfaces or processes."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from labctl.clab.definition import Definition, NodeDefinition
from labctl.events import silent
from labctl.fault import blackhole, link, node_links, power, process, routes
from labctl.lab import ecmp_seed
from labctl.lab.state import LabDir
from labctl.model.lab import Endpoint, LinkPlan
from labctl.testing.fault_bed import Bed
from labctl.testing.kernel import KernelRuntime

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path


def _link(index: int, a: str, b: str) -> LinkPlan:
    return LinkPlan(index, Endpoint(*a.split(":")), Endpoint(*b.split(":")))


NODES = (
    NodeDefinition("a"),
    NodeDefinition("b"),
    NodeDefinition("c"),
    NodeDefinition("vm", labels={"labctl-host": "c"}),
)
# Names that no machine has: whatever slips past the fakes finds nothing under them.
LINKS = (
    _link(0, "a:lt1", "b:lt1"),
    _link(1, "a:lt2", "c:lt1"),
    _link(2, "b:lt2", "c:lt2"),
    _link(3, "c:lt3", "vm:lt1"),
)


@pytest.fixture
def bed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Bed:
    """Three nodes in a ring, and a virtual machine on one of them."""
    lab = LabDir("bed", tmp_path)
    runtime = KernelRuntime()
    made = Bed(lab, runtime)
    for name, fake in made.kernel.replacements.items():
        monkeypatch.setattr(name, fake)

    def close(netns: Path, *interfaces: str, hooks: Sequence[str] = blackhole.BOTH) -> None:
        made.kernel.before_change(f"close {','.join(interfaces)}")
        made.closed.update({(made.kernel.space_at(netns), name): tuple(hooks) for name in interfaces})

    def open_again(netns: Path, *interfaces: str) -> None:
        for name in interfaces:
            made.closed.pop((made.kernel.space_at(netns), name), None)

    monkeypatch.setattr(blackhole, "close", close)
    monkeypatch.setattr(blackhole, "open_again", open_again)

    def static_by(index: int) -> list[str]:
        here = made.kernel.links_in(made.kernel.here())
        # The kernel drops them with the interface.
        return [f"{link.index:02x}" for link in here.values() if link.index == index and link.up]

    monkeypatch.setattr(routes, "static_by", static_by)
    monkeypatch.setattr(routes, "put_back", made.put_back.append)
    monkeypatch.setattr(node_links, "drop_orphan_sockets", made.dropped.append)
    monkeypatch.setattr(process, "_command_line", made.kernel.command_line)
    monkeypatch.setattr(process, "_BACK_S", 0.0)
    monkeypatch.setattr(ecmp_seed, "SETTING", tmp_path / "no-such-setting")
    for module in (link, power):
        monkeypatch.setattr(module, "_SEEN_S", 0.1)
    monkeypatch.setattr(power, "_FOUND_S", 0.1)
    lab.path.mkdir()
    (lab.path / "lab.lock").touch()
    runtime.up(lab, Definition("bed", tmp_path / "bed.clab.yml", NODES, LINKS), silent)
    return made
