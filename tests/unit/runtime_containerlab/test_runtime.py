"""What the runtime makes of the engine's answers."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

import pytest

from labctl.clab.parse import read_definition
from labctl.errors import LabError
from labctl.events import silent
from labctl.lab.runtime import NodeStatus
from labctl.lab.state import LabDir
from labctl.runtime.containerlab.runtime import ContainerlabRuntime, _epoch, _image_fix, _state

if TYPE_CHECKING:
    from pathlib import Path


def facts(**state: Any) -> dict[str, Any]:
    return {"State": {"Running": False, "Paused": False, "Pid": 0, **state}}


def test_states_of_a_container() -> None:
    assert _state(None).status is NodeStatus.MISSING
    assert _state(facts()).status is NodeStatus.OFF
    # Between start and the first process the engine says running and knows no process.
    assert _state(facts(Running=True)).status is NodeStatus.OFF
    running = _state(facts(Running=True, Pid=os.getpid()))
    assert (running.status, running.init_pid) == (NodeStatus.RUNNING, os.getpid())
    assert _state(facts(Running=True, Paused=True, Pid=os.getpid())).status is NodeStatus.FROZEN


@pytest.mark.parametrize(
    ("moment", "expected"),
    [
        ("2026-11-22T18:17:48.123456789Z", "1795371468.123456789"),
        ("2026-11-22T18:17:48.12Z", "1795371468.120000000"),
        ("1970-01-01T00:00:01Z", "1.000000000"),
        ("0001-01-01T00:00:00Z", ""),
        ("", ""),
    ],
)
def test_moments_of_the_engine_keep_their_nanoseconds(moment: str, expected: str) -> None:
    assert _epoch(moment) == expected


def test_the_fix_for_an_image_says_how_to_get_it() -> None:
    assert _image_fix("labctl/router:0.1.0") == "labctl images build router"
    assert _image_fix("alpine:3") == "docker pull alpine:3"


def test_a_file_edited_since_it_was_read_is_not_deployed(tmp_path: Path) -> None:
    path = tmp_path / "a.clab.yml"
    path.write_text("name: a\ntopology: {nodes: {n: {image: alpine:3}}}\n")
    definition = read_definition(path)
    path.write_text("name: a\ntopology: {nodes: {n: {image: alpine:4}}}\n")
    with pytest.raises(LabError, match="edited since it was read"):
        ContainerlabRuntime().up(LabDir("a", tmp_path / "state"), definition, silent)
