"""What goes into a bundle for a bug report, and what does not."""

from __future__ import annotations

import io
import json
import tarfile
from typing import TYPE_CHECKING

import pytest

from labctl.clab.definition import Definition, NodeDefinition
from labctl.errors import ActionError
from labctl.events import silent
from labctl.lab.bundle import LOG_BYTES, archive, bundle_files, without_secrets
from labctl.lab.runtime import ExecResult
from labctl.lab.state import LabDir, LabRecord
from labctl.testing.runtime import FakeRuntime

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def lab(tmp_path: Path) -> LabDir:
    return LabDir("x", tmp_path)


@pytest.fixture
def runtime(lab: LabDir, tmp_path: Path) -> FakeRuntime:
    made = FakeRuntime()
    nodes = (NodeDefinition("a"), NodeDefinition("b"))
    made.up(lab, Definition("x", tmp_path / "x.clab.yml", nodes, (), (), ""), silent)
    return made


def record(lab: LabDir) -> None:
    lab.write_record(LabRecord("x", "fake", "t.yml", "x.clab.yml", "up", 0.0))


def test_a_bundle_has_definition_logs_and_state_and_nothing_from_outside(
    lab: LabDir, runtime: FakeRuntime, tmp_path: Path
) -> None:
    record(lab)
    lab.definition.mkdir(parents=True, exist_ok=True)
    (lab.definition / "x.clab.yml").write_text("name: x\nenv: {A: 1}\nADMIN_PASSWORD: hunter2\n")
    (lab.definition / "big").write_bytes(b"x" * (LOG_BYTES + 5))
    secret = tmp_path / "shadow"
    secret.write_text("root")
    (lab.definition / "link").symlink_to(secret)
    runtime.answers["ip", "address"] = ExecResult(0, b"1: lo\n", b"")
    runtime.answers["ip", "neighbour"] = ActionError("b: ip did not end within 5 s")
    files = bundle_files(runtime, lab, {"versions": {"labctl": "1"}})
    assert set(files) == {
        "about.json",
        "definition/x.clab.yml",
        "definition/big",
        *(f"nodes/{node}.{kind}" for node in "ab" for kind in ("log", "txt")),
    }
    about = json.loads(files["about.json"])
    assert about["versions"] == {"labctl": "1"}
    assert about["nodes"]["a"]["status"] == "running"
    assert b"hunter2" not in files["definition/x.clab.yml"]
    assert b"env: {A: 1}" in files["definition/x.clab.yml"]
    assert len(files["definition/big"]) == LOG_BYTES
    assert b"$ ip address\n1: lo" in files["nodes/a.txt"]
    assert b"did not end within 5 s" in files["nodes/a.txt"]


@pytest.mark.parametrize(
    ("line", "kept"),
    [
        (b"password: a b c", b"password: <left out>"),
        (b"  neighbor 10.0.0.1 password s3cret", b"  neighbor 10.0.0.1 password <left out>"),
        (b"API_TOKEN=abc", b"API_TOKEN=<left out>"),
        (b'"private_key": "abc"', b'"private_key": <left out>'),
        (b"keepalive 3", b"keepalive 3"),
        (b"eth0: link up", b"eth0: link up"),
    ],
)
def test_values_after_the_name_of_a_secret_are_left_out(line: bytes, kept: bytes) -> None:
    assert without_secrets(line) == kept


@pytest.mark.slow
@pytest.mark.parametrize("piece", [b"x", b" ", b"password", b"a=", b"token "])
def test_a_node_that_writes_long_lines_keeps_nobody_waiting(piece: bytes) -> None:
    line = piece * (LOG_BYTES // len(piece))
    assert len(without_secrets(line)) <= len(line) + len(b"<left out>")


def test_an_archive_holds_its_files_in_one_folder_and_is_the_same_twice() -> None:
    packed = archive("x-bundle", {"a.txt": b"A", "n/b.txt": b"B"})
    assert packed == archive("x-bundle", {"a.txt": b"A", "n/b.txt": b"B"})
    with tarfile.open(fileobj=io.BytesIO(packed)) as tar:
        assert tar.getnames() == ["x-bundle/a.txt", "x-bundle/n/b.txt"]
