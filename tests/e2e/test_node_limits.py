"""What the root user of an embedded node can reach of the host: the limits that docs/security.md states."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from machine import Machine, machine

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = pytest.mark.netns

PAIR = """\
name: pair
nodes:
  h1: {role: host}
  r1: {role: router}
links: [[h1, r1]]
"""
LAB = "limits"


@pytest.fixture(scope="module")
def host(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Machine]:
    with machine(tmp_path_factory.mktemp("limits")) as one:
        (one.cwd / "pair.yml").write_text(PAIR)
        up = one.labctl("up", "pair.yml", "--runtime", "netns", "--name", LAB)
        assert up.returncode == 0, up.stderr
        yield one
        down = one.labctl("down", LAB)
        assert down.returncode == 0, down.stderr


def run(host: Machine, node: str, script: str) -> tuple[int, str]:
    """Exit code and both streams of a shell script in a node."""
    done = host.labctl("exec", LAB, node, "--", "sh", "-c", script)
    return done.returncode, done.stdout + done.stderr


@pytest.mark.parametrize("node", ["h1", "r1"])
def test_no_password_of_the_host_is_in_a_node(host: Machine, node: str) -> None:
    code, text = run(host, node, "cat /etc/shadow")
    assert code == 0, text
    rows = [line.split(":") for line in text.splitlines()]
    assert {row[0] for row in rows} == {
        line.partition(":")[0] for line in Path("/etc/shadow").read_text().splitlines()
    }
    assert {row[1] for row in rows} == {"*"}


@pytest.mark.parametrize("node", ["h1", "r1"])
def test_no_file_of_the_hosts_users_is_in_a_node(host: Machine, node: str) -> None:
    # -xdev: an interpreter that lies in a user's folder is bound there, from another file system.
    code, text = run(host, node, "find /root /home /etc/ssh -xdev -type f")
    assert (code, text) == (0, "")


@pytest.mark.parametrize(
    "attempt",
    [
        "mount -t devtmpfs none /mnt",
        "mount -t tmpfs none /mnt",
        "mount -o remount,bind,rw /proc/sys",
        "mount --bind /usr /mnt",
        "umount /proc/sys",
        "mknod /tmp/disk b 8 0",
    ],
)
def test_a_host_node_cannot_mount_nor_make_devices(host: Machine, attempt: str) -> None:
    code, text = run(host, "h1", attempt)
    assert code != 0, text
    assert "not permitted" in text or "denied" in text or "must be superuser" in text, text


@pytest.mark.parametrize("node", ["h1", "r1"])
def test_settings_of_the_hosts_kernel_are_read_only(host: Machine, node: str) -> None:
    # Opened for append and not written to: a failing test must not change the host.
    code, text = run(host, node, ": >>/proc/sys/kernel/core_pattern")
    assert code != 0
    assert "Read-only" in text, text


def test_a_node_sets_the_sysctls_of_its_own_network(host: Machine) -> None:
    code, text = run(host, "h1", "sysctl -qw net.ipv4.ip_default_ttl=77 && sysctl -n net.ipv4.ip_default_ttl")
    assert (code, text.strip()) == (0, "77")
