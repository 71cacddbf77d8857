"""What is left of a lab is found by the kernel's own tables, and taken away again and again."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

import pytest

from labctl.errors import LabError
from labctl.lab import cleanup, node_groups
from labctl.lab.state import LabDir
from labctl.linux import processes, syscalls

MOUNTS = """\
21 1 0:20 / / rw - ext4 /dev/vda rw
40 21 0:4 net:[1] {lab}/netns/a rw - nsfs nsfs rw
41 21 0:4 net:[2] {lab}/parked/a\\040b rw - nsfs nsfs rw
42 21 0:30 / {lab}/scratch rw - tmpfs labctl rw
43 42 0:31 / {lab}/scratch/root rw - overlay labctl rw
44 21 0:4 net:[3] {lab}2/netns/a rw - nsfs nsfs rw
"""


@pytest.fixture
def lab(tmp_path: Path) -> LabDir:
    lab = LabDir("x", tmp_path / "labs")
    for folder in (lab.netns, lab.parked, lab.logs, lab.definition):
        folder.mkdir(parents=True)
    (lab.netns / "a").touch()
    (lab.parked / "b").touch()
    return lab


@pytest.fixture
def mounts(lab: LabDir, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """A table of mounts with those of the lab and of another; what was unmounted."""
    gone: list[str] = []
    read = Path.read_text

    def read_text(path: Path) -> str:
        return MOUNTS.format(lab=lab.path) if path == Path("/proc/self/mountinfo") else read(path)

    monkeypatch.setattr(Path, "read_text", read_text)
    monkeypatch.setattr(syscalls, "umount", lambda point, _flags: gone.append(point))
    return gone


@dataclass
class Crowd:
    """Who is in the lab's namespaces, and who of them does not end.

    Attributes:
        stubborn: processes that do not end.
        groups: control groups that cannot be removed.
        spaces: the namespaces whose inhabitants were ended, a set a call.
    """

    stubborn: list[int] = field(default_factory=list)
    groups: list[Path] = field(default_factory=list)
    spaces: list[set[tuple[int, int]]] = field(default_factory=list)

    def end(self, spaces: set[tuple[int, int]], *_: object) -> list[int]:
        self.spaces.append(spaces)
        return self.stubborn


@pytest.fixture
def crowd(monkeypatch: pytest.MonkeyPatch) -> Crowd:
    made = Crowd()
    pins = {"a": (4, 1), "b": (4, 2)}
    monkeypatch.setattr(processes, "pinned", lambda path: pins.get(path.name) if path.exists() else None)
    monkeypatch.setattr(processes, "members", lambda _kind, _spaces: [])
    monkeypatch.setattr(cleanup, "end_inhabitants", made.end)
    monkeypatch.setattr(node_groups, "freezers", lambda _lab: [])
    monkeypatch.setattr(node_groups, "remove", lambda _lab: made.groups)
    return made


def test_mounts_below_a_folder_come_latest_first_and_no_others(lab: LabDir, mounts: list[str]) -> None:
    assert cleanup.mounts_under(lab.path) == [
        f"{lab.path}/scratch/root",
        f"{lab.path}/scratch",
        f"{lab.path}/parked/a b",
        f"{lab.path}/netns/a",
    ]


def test_a_sweep_takes_everything_but_the_definition(lab: LabDir, mounts: list[str], crowd: Crowd) -> None:
    cleanup.sweep(lab)
    # Namespaces of running nodes, and those of nodes without power.
    assert crowd.spaces == [{(4, 1), (4, 2)}]
    assert len(mounts) == 4
    assert not [path for path in (lab.netns, lab.parked, lab.logs) if path.exists()]
    assert lab.definition.exists()
    cleanup.sweep(lab)


def test_a_process_that_does_not_end_is_told_and_nothing_is_unmounted(
    lab: LabDir, mounts: list[str], crowd: Crowd
) -> None:
    crowd.stubborn.append(8)
    with pytest.raises(LabError, match=r"lab x: processes \[8\] still run after 10 s"):
        cleanup.sweep(lab)
    assert mounts == []
    assert lab.netns.exists()


def test_a_control_group_that_does_not_go_is_told_and_nothing_is_unmounted(
    lab: LabDir, mounts: list[str], crowd: Crowd
) -> None:
    crowd.groups.append(Path("/sys/fs/cgroup/labctl/x"))
    with pytest.raises(LabError, match="lab x: cannot remove control group /sys/fs/cgroup/labctl/x"):
        cleanup.sweep(lab)
    assert mounts == []


def test_a_mount_that_does_not_go_is_told(
    lab: LabDir, mounts: list[str], crowd: Crowd, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(point: str, _flags: int) -> None:
        raise OSError(16, "Device or resource busy", point)

    monkeypatch.setattr(syscalls, "umount", refuse)
    with pytest.raises(LabError, match=r"cannot unmount .*/scratch/root: Device or resource busy"):
        cleanup.sweep(lab)


def test_the_last_lab_takes_the_state_root_along(tmp_path: Path) -> None:
    root = tmp_path / "labs"
    one, two = LabDir("one", root), LabDir("two", root)
    for lab in (one, two):
        lab.path.mkdir(parents=True)
    cleanup.remove_folder(one)
    cleanup.remove_folder(one)
    assert two.path.exists()
    cleanup.remove_folder(two)
    assert not root.exists()
