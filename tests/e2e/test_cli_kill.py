"""kill -9 of labctl at any moment, then ``labctl down --all``: the machine is as it was before.

LABCTL_KILLS says how many moments there are for each command (`make nightly`: 80): one random moment in
each of as many equal parts of the command's life.
"""

from __future__ import annotations

import os
import random
import time
from typing import TYPE_CHECKING

import pytest
from machine import Machine, machine

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = [pytest.mark.netns, pytest.mark.slow]

RING = """\
name: ring
nodes:
  r[1-6]: {role: router}
  h[1-2]: {role: host}
links:
  - {a: "r[1-6]", b: "r[2-6,1]", pair: true}
  - [h1, r1]
  - [h2, r4]
"""

SCENARIO = """\
name: kill
topology: ring.yml
traffic:
  - {name: there, from: h1, to: h2, proto: udp, rate: 500, flows: 8}
steady:
  - {ready: all, within: 30s}
timeline:
  - {at: 0.5s, power-off: r2}
  - {at: 1.5s, power-on: r2}
expect:
  - {loss: all, packets: 100000}
"""

KILLS = int(os.environ.get("LABCTL_KILLS", "6"))

UP_S = 3.0
"""About as long as `up` takes here: kills are spread over it, and a little beyond."""

RUN_S = 9.0
"""The same for `run`."""

DOWN_S = 0.6
"""The same for `down`."""


@pytest.fixture(scope="module")
def host(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Machine]:
    with machine(tmp_path_factory.mktemp("kill")) as one:
        (one.cwd / "ring.yml").write_text(RING)
        (one.cwd / "kill.yml").write_text(SCENARIO)
        yield one


def killed_and_cleaned(host: Machine, words: list[str], after_s: float) -> None:
    before = host.census()
    child = host.start(*words)
    time.sleep(after_s)
    host.kill(child)
    child.wait(timeout=10)
    down = host.labctl("down", "--all")
    assert down.returncode == 0, down.stderr
    left = host.settled(before, within_s=5.0)
    assert left == before, f"killed after {after_s:.3f} s"


@pytest.mark.parametrize("moment", range(KILLS))
def test_up_killed_at_a_random_moment(host: Machine, moment: int) -> None:
    phase = random.Random(f"up {moment}").random()
    killed_and_cleaned(host, ["up", "ring.yml", "--runtime", "netns"], UP_S * (moment + phase) / KILLS)


@pytest.mark.parametrize("moment", range(KILLS))
def test_run_killed_at_a_random_moment(host: Machine, moment: int) -> None:
    phase = random.Random(f"run {moment}").random()
    words = ["run", "kill.yml", "--runtime", "netns", "--out", "results"]
    killed_and_cleaned(host, words, RUN_S * (moment + phase) / KILLS)


@pytest.mark.parametrize("moment", range(KILLS))
def test_down_killed_at_a_random_moment(host: Machine, moment: int) -> None:
    before = host.census()
    assert host.labctl("up", "ring.yml", "--runtime", "netns").returncode == 0
    child = host.start("down", "ring")
    time.sleep(DOWN_S * (moment + random.Random(f"down {moment}").random()) / KILLS)
    host.kill(child)
    child.wait(timeout=10)
    assert host.labctl("down", "--all").returncode == 0
    assert host.settled(before, within_s=5.0) == before


def test_a_killed_up_is_listed_refused_and_taken_away_by_name(host: Machine) -> None:
    before = host.census()
    child = host.start("up", "ring.yml", "--runtime", "netns")
    deadline = time.monotonic() + 10
    while not any(one.startswith("ring/state.json") for one in host.census()["labs"]):
        assert time.monotonic() < deadline
    host.kill(child)
    child.wait(timeout=10)
    assert "starting" in host.labctl("ls").stdout
    again = host.labctl("up", "ring.yml", "--runtime", "netns")
    assert again.returncode == 2
    assert "labctl down ring" in again.stderr
    assert host.labctl("down", "ring").returncode == 0
    assert host.settled(before, within_s=5.0) == before
