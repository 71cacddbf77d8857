"""A topology that is edited while a command runs: what ran is what the journal says."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
import uuid
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = [pytest.mark.netns, pytest.mark.skipif(os.geteuid() != 0, reason="needs root")]

TOPOLOGY = """\
name: {name}
nodes:
  h1: {{role: host}}
  r1: {{role: router}}
  h2: {{role: host}}
links:
  - [h1, r1]
  - {{a: r1, b: h2, mtu: {mtu}}}
"""

SCENARIO = """\
name: {name}
topology: t.yml
traffic:
  - {{name: there, from: h1, to: h2, rate: 200, flows: 2}}
steady:
  - {{ready: all, within: 30s}}
  # Without a timeline traffic would end as soon as it began, before each flow has sent a packet.
  - {{loss: all, packets: 1000, for: 300ms}}
timeline: []
settle: 1s
expect:
  - {{loss: all, packets: 1000}}
"""
STARTED_S = 60.0


def test_a_topology_edited_between_two_scenarios_does_not_reach_the_second(tmp_path: Path) -> None:
    topology, out = tmp_path / "t.yml", tmp_path / "out"
    name = f"et-{uuid.uuid4().hex[:8]}"
    topology.write_text(TOPOLOGY.format(name=name, mtu=1500))
    paths = [tmp_path / f"{each}.yml" for each in "ab"]
    for path in paths:
        path.write_text(SCENARIO.format(name=path.stem))
    line = [sys.executable, "-m", "labctl", "run", *map(str, paths), "--runtime", "netns", "--out", str(out)]
    with subprocess.Popen(line) as child:
        end = time.monotonic() + STARTED_S
        while not (out / "a" / "journal.jsonl").exists() and time.monotonic() < end:
            time.sleep(0.02)
        topology.write_text(TOPOLOGY.format(name=name, mtu=1300))
    assert child.returncode == 0
    for path in paths:
        header = _data(out / path.stem / "journal.jsonl", "run.header")
        ran = _data(out / path.stem / "journal.jsonl", "run.lab")["definition"]
        assert [link["mtu"] for link in header["lab"]["links"]] == [1500, 1500]
        assert "1300" not in header["topology"]["text"]
        assert "mtu: 1300" not in ran
        assert ran.count("mtu: 1500") == 2


def _data(journal: Path, kind: str) -> dict[str, Any]:
    events = (json.loads(line) for line in journal.read_text().splitlines())
    data: dict[str, Any] = next(event["data"] for event in events if event["kind"] == kind)
    return data
