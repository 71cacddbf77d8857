"""The compiled datapath is the same bytes wherever it is compiled: what a wheel ships can be made again."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

from labctl.overlay import datapath

pytestmark = pytest.mark.netns  # there make has installed clang
SOURCE = Path(datapath.__file__).parent


def compiled(folder: Path, output: str) -> bytes:
    shutil.copytree(SOURCE, folder, ignore=shutil.ignore_patterns("*.o", "__pycache__"))
    subprocess.run([folder / "build", output], cwd=folder, check=True)
    return (folder / output).read_bytes()


def test_two_folders_give_the_same_bytes_and_no_path_of_theirs(tmp_path: Path) -> None:
    one = compiled(tmp_path / "one", str(tmp_path / "one" / "flowcache.bpf.o"))
    two = compiled(tmp_path / "deeper" / "down" / "two", "named-otherwise.o")
    assert one == two
    assert str(tmp_path).encode() not in one
