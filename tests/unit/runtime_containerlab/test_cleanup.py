"""What a lab leaves on the host is found, and only that."""

from __future__ import annotations

import errno
import os
from typing import TYPE_CHECKING

import pytest

from labctl.linux import syscalls
from labctl.runtime.containerlab import cleanup
from labctl.runtime.containerlab.cleanup import Leftovers

if TYPE_CHECKING:
    from pathlib import Path

HOSTS = """127.0.0.1 localhost
###### CLAB-a-START ######
172.20.20.2\tclab-a-r1
###### CLAB-a-END ######
###### CLAB-ab-START ######
172.20.20.3\tclab-ab-r1
###### CLAB-ab-END ######
"""


@pytest.fixture
def host(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder that stands for the host, with leftovers of lab ``a`` and things of others."""
    for name, path in (
        ("NETNS_FOLDER", "netns"),
        ("HOSTS", "hosts"),
        ("HOSTS_LOCK", "lock/clab"),
        ("SSH_FOLDER", "ssh"),
    ):
        monkeypatch.setattr(cleanup, name, tmp_path / path)
    (tmp_path / "hosts").write_text(HOSTS)
    for folder in ("netns", "ssh", "def/clab-a/r1", "def/clab-ab"):
        (tmp_path / folder).mkdir(parents=True)
    (tmp_path / "ssh/clab-a.conf").touch()
    (tmp_path / "ssh/clab-ab.conf").touch()
    (tmp_path / "netns/clab-a-r1").symlink_to("/proc/999999/ns/net")
    (tmp_path / "netns/clab-park-clab-a-r2").touch()
    (tmp_path / "netns/clab-ab-r1").symlink_to("/proc/999999/ns/net")
    if os.geteuid() != 0:
        # What root is told of a file that is no mount; anybody else is refused before that is looked at.
        monkeypatch.setattr(syscalls, "umount", not_mounted)
    return tmp_path


def not_mounted(_target: str, _flags: int) -> None:
    raise OSError(errno.EINVAL, os.strerror(errno.EINVAL))


def test_everything_of_the_lab_is_found_and_taken_away_and_nothing_else(host: Path) -> None:
    left = Leftovers("a", host / "def", ("clab-a-r1", "clab-a-r2"))
    assert set(left.find()) == {
        str(host / "netns/clab-a-r1"),
        str(host / "netns/clab-park-clab-a-r2"),
        str(host / "ssh/clab-a.conf"),
        str(host / "def/clab-a"),
        f"{host / 'hosts'}: entries of a",
    }
    left.remove()
    assert left.find() == ()
    assert (host / "netns/clab-ab-r1").is_symlink()
    assert (host / "ssh/clab-ab.conf").exists()
    assert (host / "def/clab-ab").exists()
    assert (host / "hosts").read_text() == HOSTS.replace(
        HOSTS[HOSTS.index("#") : HOSTS.index("###### CLAB-ab-S")], ""
    )
    left.remove()


def test_a_lab_whose_definition_is_not_known_is_looked_for_all_the_same(host: Path) -> None:
    left = Leftovers("a", None, ())
    left.remove()
    assert left.find() == ()
    assert (host / "def/clab-a").exists()


def test_a_name_is_not_a_pattern(host: Path) -> None:
    assert Leftovers(".*", None, ()).find() == ()
