"""A node that writes without end costs its reader no more than the end of its log."""

from __future__ import annotations

from typing import TYPE_CHECKING

from labctl.lab.runtime import LOG_BYTES
from labctl.lab.state import LabDir
from labctl.runtime.embedded import runtime
from labctl.runtime.embedded.runtime import NetnsRuntime

if TYPE_CHECKING:
    from pathlib import Path

    import pytest


def test_of_a_long_log_the_end_is_read_and_what_is_left_out_is_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(runtime, "_spec", lambda _lab, _node: None)
    lab = LabDir("long", tmp_path)
    lab.logs.mkdir(parents=True)
    with (lab.logs / "n").open("wb") as log:
        log.truncate(1 << 40)  # a sparse file of a terabyte
        log.seek(0, 2)
        log.write(b"\nthe end\n")
    text = NetnsRuntime().logs(lab, "n")
    assert len(text) < LOG_BYTES + 100
    assert text.startswith(b"(1099494850569 bytes before this are left out)\n")
    assert text.endswith(b"\nthe end\n")


def test_a_short_log_is_read_whole(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(runtime, "_spec", lambda _lab, _node: None)
    lab = LabDir("short", tmp_path)
    lab.logs.mkdir(parents=True)
    (lab.logs / "n").write_bytes(b"one\ntwo\n")
    assert NetnsRuntime().logs(lab, "n") == b"one\ntwo\n"
    assert NetnsRuntime().logs(lab, "m") == b""
