"""Where a bind lands in a node's tree, and which of the host's mounts a node sees."""

from __future__ import annotations

import builtins
import io
import os
import sys
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

import labctl
from labctl.runtime.embedded import rootfs

if TYPE_CHECKING:
    from pathlib import Path

MOUNTINFO = """\
21 1 254:0 / / rw shared:1 - ext4 /dev/vda rw
22 21 0:5 / /dev rw - devtmpfs udev rw
23 21 0:4 / /proc rw - proc proc rw
24 21 8:1 / /home rw shared:2 master:3 - xfs /dev/sda1 rw
25 24 8:2 / /home/a\\040b rw - ext4 /dev/sda2 rw
26 21 8:3 / /run/media rw - ext4 /dev/sda3 rw
27 21 0:40 / /var/lib/docker/overlay2/x rw - overlay overlay rw
28 21 8:4 / /runner rw - btrfs /dev/sda4 rw
29 21 8:4 / /runner rw - btrfs /dev/sda4 rw
"""


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A tree with links as distributions have them."""
    (tmp_path / "run").mkdir()
    (tmp_path / "usr/lib").mkdir(parents=True)
    (tmp_path / "var").mkdir()
    (tmp_path / "lib").symlink_to("usr/lib")
    (tmp_path / "var/run").symlink_to("/run")
    (tmp_path / "var/lock").symlink_to("../run/lock")
    (tmp_path / "round").symlink_to("round")
    (tmp_path / "out").symlink_to("../../../../../etc")
    return tmp_path


@pytest.mark.parametrize(
    ("target", "inside"),
    [
        ("/etc/x", "/etc/x"),
        ("etc/./x//y", "/etc/x/y"),
        ("/lib/frr", "/usr/lib/frr"),
        ("/var/run/frr", "/run/frr"),
        ("/var/lock/x", "/run/lock/x"),
        # The node's root is as far up as a link leads: never into the host's own tree.
        ("/out/passwd", "/etc/passwd"),
        ("/../../etc/passwd", "/etc/passwd"),
    ],
)
def test_links_are_taken_as_the_node_takes_them(root: Path, target: str, inside: str) -> None:
    assert rootfs._inside(str(root), target) == inside


def test_a_link_to_itself_is_no_endless_loop(root: Path) -> None:
    assert rootfs._inside(str(root), "/round/x").endswith("/x")


@given(st.lists(st.sampled_from(["..", ".", "out", "lib", "var", "run", "lock", "x"]), max_size=8))
def test_no_target_leads_out_of_the_node(parts: list[str]) -> None:
    inside = rootfs._inside("/nonexistent", "/".join(parts))
    assert ".." not in inside.split("/")


def test_a_target_is_made_of_the_kind_of_its_source(tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    (tmp_path / "file").touch()
    for name in ("folder", "file"):
        rootfs._make_target(str(tmp_path / name), str(tmp_path / "new/deep" / name))
    assert (tmp_path / "new/deep/folder").is_dir()
    assert (tmp_path / "new/deep/file").is_file()
    (tmp_path / "file").write_text("kept")
    rootfs._make_target(str(tmp_path / "folder"), str(tmp_path / "file"))
    assert (tmp_path / "file").read_text() == "kept"


def test_disks_of_the_host_are_seen_and_what_is_private_is_not(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(builtins, "open", lambda _path: io.StringIO(MOUNTINFO))
    assert rootfs.submounts() == ["/runner"]


def test_the_interpreter_is_bound_only_where_its_folder_is_hidden(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(labctl, "__file__", "/opt/src/labctl/__init__.py")
    monkeypatch.setattr(sys, "prefix", "/tmp/venv")  # noqa: S108
    monkeypatch.setattr(sys, "base_prefix", "/usr")
    assert rootfs.interpreter() == [("/tmp/venv", "/tmp/venv", True)]  # noqa: S108


@pytest.mark.parametrize("folder", ["/home/me/venv", "/root/venv"])
def test_the_interpreter_is_bound_where_it_lies_in_a_users_folder(
    folder: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(labctl, "__file__", "/opt/src/labctl/__init__.py")
    monkeypatch.setattr(sys, "prefix", folder)
    monkeypatch.setattr(sys, "base_prefix", "/usr")
    assert rootfs.interpreter() == [(folder, folder, True)]


def test_users_are_kept_and_passwords_are_not() -> None:
    assert rootfs.locked("root:$y$j9T$x:20000:0:99999:7:::\nfrr:!:20000::::::\n") == (
        "root:*:20000:0:99999:7:::\nfrr:*:20000::::::\n"
    )


def test_a_line_of_another_form_shows_nothing_after_its_name() -> None:
    assert rootfs.locked("root\n\nx:hash") == "root:*\n:*\nx:*\n"


def test_a_folder_is_below_itself_and_its_parents_and_no_namesake() -> None:
    assert rootfs._below("/run", ("/run",))
    assert rootfs._below("/run/x", ("/run",))
    assert not rootfs._below("/runner", ("/run",))


def test_folders_that_packages_made_keep_their_owners_and_ours_are_left_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("frr", "labctl", "netns", "docker", "containerd", "user"):
        (tmp_path / name).mkdir()
    (tmp_path / "frr").chmod(0o2750)
    (tmp_path / "a.pid").touch()
    (tmp_path / "link").symlink_to("frr")
    scan = os.scandir
    monkeypatch.setattr(os, "scandir", lambda path: scan(tmp_path if path == "/run" else tmp_path / "user"))
    assert rootfs.skeleton() == [
        (str(tmp_path / "frr"), 0o2750, os.getuid(), (tmp_path / "frr").stat().st_gid)
    ]
