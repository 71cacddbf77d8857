"""Nothing is expected of a stream whose own end loses its power."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from labctl.errors import InputError
from labctl.scenario.load import load_scenario

if TYPE_CHECKING:
    from pathlib import Path

TOPOLOGY = """\
name: line
nodes: {h1: {role: host}, r1: {role: router}, h2: {role: host}, h3: {role: host}}
links: [[h1, r1], [r1, h2], [r1, h3]]
"""

SCENARIO = """\
name: own-end
topology: line.yml
traffic:
  - {{name: dies, from: h1, to: h2, rate: 100}}
  - {{name: lives, from: h1, to: h3, rate: 100}}
steady:
  - {{loss: {steady}, packets: 0, for: 1s}}
timeline:
  - {{at: 1s, power-off: h2{mode}}}
  - {{after: {{{wait}}}, power-on: h2}}
expect:
  - {{convergence-loss: {streams}, packets: 0}}
"""


def load(folder: Path, **words: str) -> None:
    (folder / "line.yml").write_text(TOPOLOGY)
    path = folder / "scenario.yml"
    path.write_text(
        SCENARIO.format(**{"mode": "", "wait": "wait: 1s", "streams": "lives", "steady": "lives", **words})
    )
    load_scenario(path)


def test_the_others_may_be_expected_of(tmp_path: Path) -> None:
    load(tmp_path)


def test_a_node_that_is_fenced_takes_its_streams_with_it(tmp_path: Path) -> None:
    (tmp_path / "line.yml").write_text(TOPOLOGY)
    path = tmp_path / "scenario.yml"
    text = SCENARIO.format(mode="", wait="wait: 1s", streams="dies", steady="lives")
    path.write_text(text.replace("power-off: h2", "fence: {node: h2, for: h3}"))
    with pytest.raises(InputError, match="h2, which loses its power in step 1"):
        load_scenario(path)


@pytest.mark.parametrize("streams", ["all", "dies", "[lives, dies]"])
def test_the_dying_one_is_refused_where_it_is_named(tmp_path: Path, streams: str) -> None:
    with pytest.raises(InputError) as caught:
        load(tmp_path, streams=streams)
    [problem] = caught.value.problems
    assert problem.message == (
        "stream 'dies' has an end at h2, which loses its power in step 1: the stream ends with it"
    )
    assert problem.hint == "name the streams whose ends keep power: [lives]"
    assert problem.line == 12


def test_a_wait_for_it_to_lose_nothing_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="loses its power in step 1"):
        load(tmp_path, wait="loss: all, packets: 0, for: 1s")


def test_it_is_not_asked_to_be_steady_again_either(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="loses its power in step 1"):
        load(tmp_path, steady="all")


def test_a_frozen_node_keeps_its_sockets(tmp_path: Path) -> None:
    load(tmp_path, mode=", mode: freeze", streams="all", steady="all")
