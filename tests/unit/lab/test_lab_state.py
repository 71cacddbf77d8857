"""The memory of labs: records, locks, definitions."""

from __future__ import annotations

import shutil
import threading
from dataclasses import replace
from pathlib import Path

import pytest

from labctl.clab.definition import Bind, Definition, NodeDefinition
from labctl.errors import LabBusyError, LabError, LabNotFoundError
from labctl.lab.definition_cache import definition_of, plan_of, save_definition
from labctl.lab.state import LabDir, LabRecord, labs
from labctl.model.codec import dump_lab
from labctl.model.lab import Endpoint, LinkPlan
from labctl.testing.series import fake_lab

RECORD = LabRecord("x", "netns", "/t.yml", "/d.clab.yml", "up", 1.5)

DEFINITION = Definition(
    "x",
    Path("/d/x.clab.yml"),
    (
        NodeDefinition(
            "a",
            image="i",
            entrypoint=("e",),
            cmd=("c", "d"),
            binds=(Bind(Path("/s"), "/t", read_only=True),),
            env={"K": "v"},
            sysctls={"net.x": "1"},
            cap_add=("NET_ADMIN",),
            exec=("true",),
            labels={"labctl-ready": "1"},
            unsupported=("y",),
        ),
        NodeDefinition("b"),
    ),
    (LinkPlan(0, Endpoint("a", "eth1"), Endpoint("b", "eth1"), 1400, ("02:00:00:00:00:01", "")),),
    ("z",),
)


@pytest.fixture
def lab(tmp_path: Path) -> LabDir:
    return LabDir("x", tmp_path / "state")


def test_a_definition_comes_back_as_it_was(lab: LabDir) -> None:
    save_definition(lab, DEFINITION)
    assert definition_of(lab) == DEFINITION


@pytest.mark.parametrize("text", ["", "{", "[]", '{"format": 3}', "\0", '{"format": 3, "name": 5}'])
def test_a_damaged_definition_is_one_error_that_says_what_to_do(lab: LabDir, text: str) -> None:
    lab.write_record(RECORD)
    (lab.path / "definition.json").write_text(text)
    with pytest.raises(LabError, match=r"damaged: .*/definition\.json: .*labctl down x"):
        definition_of(lab)


def test_a_definition_that_another_labctl_kept_is_read_from_its_containerlab_file(
    lab: LabDir, tmp_path: Path
) -> None:
    theirs = tmp_path / "d.clab.yml"
    theirs.write_text("name: other\ntopology: {nodes: {a: {cmd: sleep 1}}}\n")
    lab.write_record(replace(RECORD, definition=str(theirs)))
    (lab.path / "definition.json").write_text('{"name": "x", "cables": []}')
    assert [node.name for node in definition_of(lab).nodes] == ["a"]
    assert definition_of(lab).name == "x"


def test_a_plan_comes_back_as_it_was_and_a_foreign_lab_has_none(lab: LabDir) -> None:
    lab.write_record(RECORD)
    assert plan_of(lab) is None
    lab.write_record(replace(RECORD, definition=str(lab.definition / "x.clab.yml")))
    lab.definition.mkdir()
    planned = fake_lab(("a", "b"), [("a", "b")])
    (lab.definition / "lab.json").write_text(dump_lab(planned))
    assert plan_of(lab) == planned


@pytest.mark.parametrize("text", [None, "", "{", "[]", '{"format": 7}', '{"format": 1, "name": 5}', "\0"])
def test_a_damaged_plan_is_one_error_that_says_what_to_do(lab: LabDir, text: str | None) -> None:
    lab.write_record(replace(RECORD, definition=str(lab.definition / "x.clab.yml")))
    lab.definition.mkdir()
    if text is not None:
        (lab.definition / "lab.json").write_text(text)
    with pytest.raises(LabError, match=r"damaged: .*/lab\.json: .*labctl down x"):
        plan_of(lab)


def test_a_record_comes_back_as_it_was(lab: LabDir) -> None:
    lab.write_record(RECORD)
    assert lab.record() == RECORD
    lab.write_record(replace(RECORD, phase="stopping"))
    assert lab.record().phase == "stopping"
    assert labs(lab.root) == (lab,)


@pytest.mark.parametrize("text", ["", "{", "[]", '{"name": "x"}', "\0"])
def test_a_broken_record_is_no_lab(lab: LabDir, text: str) -> None:
    lab.path.mkdir(parents=True)
    (lab.path / "state.json").write_text(text)
    with pytest.raises(LabNotFoundError):
        lab.record()


def test_a_lab_is_changed_by_one_at_a_time(lab: LabDir) -> None:
    with lab.lock(), pytest.raises(LabBusyError), lab.lock():
        pass
    with lab.lock():
        pass


def test_many_may_act_on_a_lab_at_once_but_not_while_it_changes(lab: LabDir) -> None:
    with lab.lock(), pytest.raises(LabBusyError), lab.share():
        pass
    with lab.share(), lab.share(), pytest.raises(LabBusyError), lab.lock():
        pass


def test_nobody_acts_on_a_lab_that_is_not_there_and_none_comes_of_it(lab: LabDir) -> None:
    with pytest.raises(LabNotFoundError), lab.share():
        pass
    assert not lab.path.exists()


def test_locking_goes_on_while_folders_come_and_go(lab: LabDir) -> None:
    """Another labctl that takes its last lab away removes the state root under our feet."""
    stop = threading.Event()

    def remove() -> None:
        while not stop.is_set():
            shutil.rmtree(lab.root, ignore_errors=True)

    remover = threading.Thread(target=remove)
    remover.start()
    try:
        for _ in range(300):
            with lab.lock():
                pass
    finally:
        stop.set()
        remover.join()
