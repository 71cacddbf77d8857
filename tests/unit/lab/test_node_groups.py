"""Which control groups have a freezer, and where that of a process is shown."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from labctl.lab import node_groups
from labctl.lab.state import LabDir
from labctl.linux.freezer import Hierarchy, hierarchies

if TYPE_CHECKING:
    from collections.abc import Iterator

UNIFIED = "30 23 0:26 / /sys/fs/cgroup rw,nosuid shared:9 - cgroup2 cgroup2 rw,nsdelegate\n"
HYBRID = (
    "31 23 0:28 / /sys/fs/cgroup rw,relatime - tmpfs tmpfs rw,mode=755\n"
    "33 31 0:30 / /sys/fs/cgroup/cpu\\040acct rw,relatime - cgroup cgroup rw,cpu,cpuacct\n"
    "37 31 0:34 /docker/0123 /sys/fs/cgroup/freezer rw,relatime - cgroup cgroup rw,freezer\n"
    "41 31 0:38 / /sys/fs/cgroup/unified rw,relatime - cgroup2 cgroup2 rw\n"
)
OWN = "6:freezer:/docker/0123\n4:memory:/elsewhere\n0::/user.slice/a scope\n"


def test_a_machine_with_version_2_alone_has_one_tree() -> None:
    assert hierarchies(UNIFIED) == (Hierarchy(2, Path("/sys/fs/cgroup"), "/"),)


def test_of_both_versions_the_second_comes_first() -> None:
    assert hierarchies(HYBRID) == (
        Hierarchy(2, Path("/sys/fs/cgroup/unified"), "/"),
        Hierarchy(1, Path("/sys/fs/cgroup/freezer"), "/docker/0123"),
    )


def test_a_machine_without_control_groups_has_none() -> None:
    assert hierarchies("22 1 254:0 / / rw,relatime - ext4 /dev/root rw\n") == ()


def test_the_group_of_a_process_is_that_of_the_tree() -> None:
    unified, first = hierarchies(HYBRID)
    assert unified.group_of(OWN) == "/user.slice/a scope"
    assert first.group_of(OWN) == "/docker/0123"
    assert first.group_of("4:memory:/elsewhere\n0::/\n") is None


@pytest.mark.parametrize(
    ("group", "folder"),
    [
        ("/docker/0123", "/sys/fs/cgroup/freezer"),
        ("/docker/0123/labctl-x", "/sys/fs/cgroup/freezer/labctl-x"),
        ("/docker/4567", None),
        ("/../4567", None),
    ],
)
def test_a_group_outside_of_what_is_mounted_is_not_shown(group: str, folder: str | None) -> None:
    first = hierarchies(HYBRID)[1]
    assert first.folder(group) == (Path(folder) if folder else None)


@pytest.fixture
def tree(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A plain folder where a tree of control groups is looked for; labctl is in its root."""
    monkeypatch.setattr(node_groups, "mounted", lambda: (Hierarchy(2, tmp_path / "tree", "/"),))
    monkeypatch.setattr(Hierarchy, "group_of", lambda *_: "/")
    (tmp_path / "tree").mkdir()
    yield tmp_path / "tree"
    (tmp_path / "tree").chmod(0o755)


def _lab(folder: Path) -> LabDir:
    lab = LabDir("x", folder / "state")
    lab.path.mkdir(parents=True)
    return lab


def test_where_the_kernel_shows_no_freezer_nothing_is_made_and_nothing_is_left(
    tree: Path, tmp_path: Path
) -> None:
    lab = _lab(tmp_path)
    assert node_groups.join_files(lab, ["a"]) == {}
    assert node_groups.join_files(lab, ["a"]) == {}
    assert list(tree.iterdir()) == []
    assert node_groups.freezers(lab) == ()
    assert node_groups.remove(lab) == []


@pytest.mark.parametrize(
    "record", ["", "2", "3 /x/labctl-x-01234567", "2 /etc", "2 /labctl-x-0123/..", "none"]
)
def test_a_record_that_is_none_of_ours_removes_nothing(tmp_path: Path, record: str) -> None:
    lab = _lab(tmp_path)
    (lab.path / "cgroup").write_text(record)
    assert node_groups.remove(lab) == []
    assert node_groups.freezers(lab) == ()


def test_a_process_in_no_group_of_ours_has_no_freezer() -> None:
    assert node_groups.freezer_of(os.getpid()) is None
    assert node_groups.freezer_of(2**30) is None
