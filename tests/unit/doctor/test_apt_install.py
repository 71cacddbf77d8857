"""The installer, with an apt and a package database that only pretend, in mounts of its own."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from typing import TYPE_CHECKING

import pytest

from labctl.doctor.install import SCRIPT

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.netns

DPKG_QUERY = """#!/bin/sh
for package; do :; done
[ -e "$STATE/installed/$package" ] && echo installed
exit 0
"""
APT_CACHE = """#!/bin/sh
[ -e "$STATE/offered/$2" ] && echo "  Candidate: 1.0" || echo "  Candidate: (none)"
"""
APT_GET = """#!/bin/sh
cp /usr/sbin/policy-rc.d "$STATE/guard-during" 2>/dev/null
echo "$*" >>"$STATE/calls"
[ ! -e "$STATE/hang" ] || sleep 60
case "$*" in *update*) touch "$STATE/updated"; exit 0;; esac
if [ -e "$STATE/needs-update" ] && [ ! -e "$STATE/updated" ]; then echo "E: not found" >&2; exit 100; fi
[ ! -e "$STATE/broken" ] || { echo "E: broken mirror" >&2; exit 100; }
for package; do case "$package" in -*|DPkg*|install) ;; *) touch "$STATE/installed/$package";; esac; done
"""
INSIDE = 'mount --bind "$STATE/sbin" /usr/sbin && exec "$@"'


class Host:
    """A root user's /usr/sbin, apt and dpkg, all of a test's own."""

    def __init__(self, folder: Path) -> None:
        self.state = folder
        for name in ("sbin", "bin", "installed", "offered"):
            (folder / name).mkdir()
        for name, text in (("dpkg-query", DPKG_QUERY), ("apt-cache", APT_CACHE), ("apt-get", APT_GET)):
            (folder / "bin" / name).write_text(text)
            (folder / "bin" / name).chmod(0o755)
        self.guard = folder / "sbin/policy-rc.d"

    def start(self, *packages: str) -> subprocess.Popen[str]:
        env = {"PATH": f"{self.state}/bin:/usr/bin:/bin", "STATE": str(self.state)}
        # A test that runs in the background of a shell would hand its ignored SIGINT down.
        command = [
            "env",
            "--default-signal=INT",
            "unshare",
            "-m",
            "--propagation",
            "private",
            "sh",
            "-c",
            INSIDE,
            "sh",
        ]
        return subprocess.Popen(
            [*command, "bash", str(SCRIPT), *packages],
            env=env,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )

    def install(self, *packages: str) -> tuple[int, str]:
        child = self.start(*packages)
        _, said = child.communicate(timeout=120)
        return child.returncode, said

    def installs(self) -> list[str]:
        """The packages of each call of ``apt-get install``."""
        try:
            lines = (self.state / "calls").read_text().splitlines()
        except FileNotFoundError:
            return []
        return [line.split("--no-install-recommends ")[1] for line in lines if "install" in line]

    def wait_for_apt(self) -> None:
        deadline = time.monotonic() + 60
        while not (self.state / "calls").exists() and time.monotonic() < deadline:
            time.sleep(0.01)
        assert (self.state / "calls").exists()


@pytest.fixture
def host(tmp_path: Path) -> Host:
    assert os.geteuid() == 0
    return Host(tmp_path)


def test_only_what_is_missing_is_installed_and_nothing_is_started_meanwhile(host: Host) -> None:
    (host.state / "installed/there").touch()
    code, _ = host.install("there", "frr", "tini")
    assert code == 0
    assert host.installs() == ["frr tini"]
    assert "exit 101" in (host.state / "guard-during").read_text()
    assert not host.guard.exists()


def test_again_there_is_nothing_to_do(host: Host) -> None:
    host.install("frr")
    assert host.install("frr") == (0, "")
    assert host.installs() == ["frr"]


def test_a_guard_of_somebody_else_is_put_back(host: Host) -> None:
    host.guard.write_text("#!/bin/sh\nexit 0 # mine\n")
    assert host.install("frr")[0] == 0
    assert "exit 101" in (host.state / "guard-during").read_text()
    assert "mine" in host.guard.read_text()


def test_the_guard_that_a_killed_run_left_stops_nothing(host: Host) -> None:
    (host.state / "hang").touch()
    child = host.start("frr")
    host.wait_for_apt()
    assert subprocess.run(["sh", str(host.guard), "ssh", "start"], check=False).returncode == 101
    os.killpg(child.pid, signal.SIGKILL)
    child.communicate(timeout=60)
    assert subprocess.run(["sh", str(host.guard), "ssh", "start"], check=False).returncode == 0
    # It goes with the next run, also with one that has nothing to install.
    (host.state / "installed/frr").touch()
    assert host.install("frr") == (0, "")
    assert not host.guard.exists()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_the_guard_goes_when_the_installer_is_interrupted(host: Host, number: signal.Signals) -> None:
    (host.state / "hang").touch()
    child = host.start("frr")
    host.wait_for_apt()
    os.killpg(child.pid, number)
    child.communicate(timeout=60)
    assert child.returncode in (128 + number, -number)
    assert not host.guard.exists()


def test_the_guard_that_a_killed_run_left_goes_with_the_next(host: Host) -> None:
    (host.state / "hang").touch()
    host.guard.write_text("#!/bin/sh\nexit 0 # mine\n")
    child = host.start("frr")
    host.wait_for_apt()
    os.killpg(child.pid, signal.SIGKILL)
    child.communicate(timeout=60)
    assert "exit 101" in host.guard.read_text()
    (host.state / "hang").unlink()
    assert host.install("frr")[0] == 0
    assert "mine" in host.guard.read_text()


def test_lists_that_were_never_fetched_are_fetched(host: Host) -> None:
    (host.state / "needs-update").touch()
    assert host.install("frr")[0] == 0
    assert (host.state / "installed/frr").exists()


def test_of_two_names_the_one_that_the_distribution_has_is_taken(host: Host) -> None:
    (host.state / "offered/docker.io").touch()
    assert host.install("docker-cli|docker.io")[0] == 0
    assert host.installs() == ["docker.io"]
    (host.state / "offered/docker-cli").touch()
    # What is there already will do, although the other name comes first.
    assert host.install("docker-cli|docker.io")[0] == 0
    assert host.installs() == ["docker.io"]


def test_what_apt_said_is_told_when_it_fails(host: Host) -> None:
    (host.state / "broken").touch()
    code, said = host.install("frr")
    assert code == 2
    assert "E: broken mirror" in said
    assert "could not install: frr" in said
    assert not host.guard.exists()
