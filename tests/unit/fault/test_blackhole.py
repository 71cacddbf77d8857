"""What nft is asked for: all interfaces in one transaction, and the same again is no error."""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import Any

import pytest

from labctl.errors import ActionError
from labctl.fault import blackhole

NETNS = Path("/run/labctl/x/netns/a")


@pytest.fixture
def scripts(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What was written to nft, in which namespace."""
    found: list[str] = []

    def run(command: list[str], *, input: bytes, **_: Any) -> subprocess.CompletedProcess[bytes]:  # noqa: A002
        assert command[1:3] == [f"--net={NETNS}", "--"]
        assert command[4:] == ["-f", "-"]
        found.append(input.decode())
        return subprocess.CompletedProcess(command, 0, b"", b"")

    monkeypatch.setattr(subprocess, "run", run)
    monkeypatch.setattr(blackhole, "program", lambda name: f"/usr/sbin/{name}")
    return found


def test_every_interface_is_closed_both_ways_in_one_script(scripts: list[str]) -> None:
    blackhole.close(NETNS, "eth1", "eth2")
    (script,) = scripts
    for interface in ("eth1", "eth2"):
        for hook in ("ingress", "egress"):
            assert f'type filter hook {hook} device "{interface}" priority -500; policy drop;' in script


def test_each_table_is_made_and_deleted_before_it_is_made_so_that_again_is_no_error(
    scripts: list[str],
) -> None:
    blackhole.close(NETNS, "eth1")
    lines = [line for line in scripts[0].splitlines() if "table" in line]
    table = "labctl_" + b"eth1".hex()
    assert lines == [f"table netdev {table}", f"delete table netdev {table}", f"table netdev {table} {{"]


def test_opening_takes_the_table_of_each_away_and_none_is_no_error(scripts: list[str]) -> None:
    blackhole.open_again(NETNS, "eth1", "eth2")
    (script,) = scripts
    assert script.splitlines() == [
        line
        for name in ("eth1", "eth2")
        for line in (
            f"table netdev labctl_{name.encode().hex()}",
            f"delete table netdev labctl_{name.encode().hex()}",
        )
    ]


def test_the_names_of_two_interfaces_never_make_one_table(scripts: list[str]) -> None:
    blackhole.close(NETNS, "eth0.1", "eth0_1", "eth0-1")
    names = [line.split()[3] for line in scripts[0].splitlines() if line.startswith("delete")]
    assert len(set(names)) == 3


def test_what_nft_said_is_told(monkeypatch: pytest.MonkeyPatch, scripts: list[str]) -> None:
    failed = subprocess.CompletedProcess([], 1, b"", b"Error: Operation not supported\n")
    monkeypatch.setattr(subprocess, "run", lambda *_, **__: failed)
    with pytest.raises(ActionError, match=r"nft failed: Error: Operation not supported$"):
        blackhole.close(NETNS, "eth1")


def test_an_nft_that_hangs_is_told(monkeypatch: pytest.MonkeyPatch, scripts: list[str]) -> None:
    def hang(*_: Any, **__: Any) -> None:
        raise subprocess.TimeoutExpired("nft", 10)

    monkeypatch.setattr(subprocess, "run", hang)
    with pytest.raises(ActionError, match="nft did not end within 10 s"):
        blackhole.close(NETNS, "eth1")
