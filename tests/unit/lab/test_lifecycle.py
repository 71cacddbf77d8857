"""Which runtime is chosen, and what is refused before anything is made."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from labctl.errors import HostError, InputError, LabctlError, LabExistsError, LabNotFoundError
from labctl.events import silent
from labctl.lab import lifecycle
from labctl.lab.loaded import load_lab_file
from labctl.lab.state import LabDir, LabRecord
from labctl.testing.runtime import FakeRuntime

if TYPE_CHECKING:
    from pathlib import Path

SOUND = "name: sound\ntopology: {nodes: {a: {cmd: sleep 1}}}\n"


@pytest.fixture
def two(monkeypatch: pytest.MonkeyPatch) -> dict[str, FakeRuntime]:
    """Fakes in the place of both runtimes."""
    fakes = {"containerlab": FakeRuntime(), "netns": FakeRuntime()}
    monkeypatch.setattr(lifecycle, "_runtime", fakes.__getitem__)
    return fakes


def _up(path: Path, root: Path, **options: object) -> LabDir:
    loaded = load_lab_file(path, **options)  # type: ignore[arg-type]
    return lifecycle.bring_up(loaded, runtime="netns", timeout_s=1.0, listen=silent, root=root)


def test_auto_takes_containerlab_where_all_is_there(two: dict[str, FakeRuntime]) -> None:
    runtime, reason = lifecycle.choose_runtime("auto")
    assert runtime is two["containerlab"]
    assert "are there" in reason


def test_auto_falls_back_and_says_why(two: dict[str, FakeRuntime]) -> None:
    two["containerlab"].lacks = ("no engine: start one",)
    runtime, reason = lifecycle.choose_runtime("auto")
    assert runtime is two["netns"]
    assert "no engine" in reason


def test_where_neither_can_run_every_lack_is_named(two: dict[str, FakeRuntime]) -> None:
    two["containerlab"].lacks = ("no engine",)
    two["netns"].lacks = ("no tini",)
    with pytest.raises(HostError, match=r"netns: no tini\n.*containerlab: no engine"):
        lifecycle.choose_runtime("auto")
    with pytest.raises(HostError, match="no tini"):
        lifecycle.choose_runtime("netns")


def test_an_unknown_runtime_is_an_error_that_names_those_there_are() -> None:
    with pytest.raises(HostError, match="expected auto, containerlab, netns"):
        lifecycle.choose_runtime("kubernetes")


@pytest.mark.parametrize("name", ["../x", "a b", "a;b", "", "x" * 80, "."])
def test_a_bad_name_is_refused_and_nothing_is_made(tmp_path: Path, name: str) -> None:
    path = tmp_path / "a.clab.yml"
    path.write_text(SOUND)
    with pytest.raises(InputError):
        _up(path, tmp_path / "state", name=name)
    assert not (tmp_path / "state").exists()


@pytest.mark.parametrize("text", ["", "\0", "name: ../../x\ntopology: {nodes: {a: {}}}", "name: x"])
def test_a_bad_file_is_refused_and_nothing_is_made(tmp_path: Path, text: str) -> None:
    for suffix in (".clab.yml", ".yml"):
        path = tmp_path / f"a{suffix}"
        path.write_text(text)
        with pytest.raises(InputError):
            _up(path, tmp_path / "state")
    assert not (tmp_path / "state").exists()


def test_a_machine_that_lacks_something_keeps_no_trace(tmp_path: Path, two: dict[str, FakeRuntime]) -> None:
    two["netns"].lacks = ("no tini",)
    path = tmp_path / "a.clab.yml"
    path.write_text(SOUND)
    with pytest.raises(LabctlError, match="no tini"):
        _up(path, tmp_path / "state")
    assert not (tmp_path / "state").exists()


def test_variables_make_no_sense_for_a_containerlab_file(tmp_path: Path) -> None:
    path = tmp_path / "a.clab.yml"
    path.write_text(SOUND)
    with pytest.raises(InputError, match="no variables"):
        _up(path, tmp_path / "state", sets=("a=1",))


def test_a_lab_goes_up_and_down_and_is_found_by_name_and_by_file(
    tmp_path: Path, two: dict[str, FakeRuntime], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(FakeRuntime, "name", "netns")
    path = tmp_path / "a.clab.yml"
    path.write_text(SOUND)
    root = tmp_path / "state"
    lab = _up(path, root)
    assert lab.record().phase == "up"
    assert lifecycle.open_lab("sound", root) == lifecycle.open_lab(str(path), root) == (two["netns"], lab)
    with pytest.raises(LabExistsError, match="up already"):
        _up(path, root)
    other = _up(path, root, name="other")
    with pytest.raises(LabNotFoundError, match="name one of other, sound"):
        lifecycle.open_lab(str(path), root)
    for each in (lab, other, lab):
        lifecycle.take_down(each, silent)
    assert not root.exists()
    with pytest.raises(LabNotFoundError):
        lifecycle.open_lab("sound", root)


def test_a_broken_record_is_not_taken_for_a_lab(tmp_path: Path) -> None:
    path = tmp_path / "a.clab.yml"
    path.write_text(SOUND)
    lab = LabDir("sound", tmp_path / "state")
    lab.path.mkdir(parents=True)
    (lab.path / "state.json").write_text("{")
    with pytest.raises(LabExistsError, match="labctl down sound"):
        _up(path, lab.root)


@pytest.mark.parametrize("phase", ["starting", "stopping"])
def test_what_a_killed_labctl_left_is_not_taken_for_a_lab(
    tmp_path: Path, two: dict[str, FakeRuntime], phase: str
) -> None:
    path = tmp_path / "a.clab.yml"
    path.write_text(SOUND)
    lab = LabDir("sound", tmp_path / "state")
    lab.write_record(LabRecord("sound", "netns", str(path), str(path), phase, 0.0))
    with pytest.raises(LabExistsError, match="labctl down sound"):
        _up(path, lab.root)


def test_down_of_a_folder_without_a_record_works(tmp_path: Path) -> None:
    lab = LabDir("broken", tmp_path / "state")
    lab.path.mkdir(parents=True)
    (lab.path / "state.json").write_text("{")
    lifecycle.take_down(lab, silent)
    assert not lab.root.exists()
