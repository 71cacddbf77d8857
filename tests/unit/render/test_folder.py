"""A rendered folder is written whole, and nobody else's folder is touched."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from labctl.errors import RenderError
from labctl.render.folder import write_folder

if TYPE_CHECKING:
    from pathlib import Path

FILES = {
    "x.clab.yml": (b"name: x\n", False),
    "a/etc/labctl/boot": (b"#!/bin/sh\n", True),
    "lab.json": (b"{}", False),
}


def names(folder: Path) -> set[str]:
    return {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()}


def test_writes_what_it_is_given_with_executable_bits(tmp_path: Path) -> None:
    old = os.umask(0o077)
    try:
        write_folder(tmp_path / "deep/out", FILES)
    finally:
        os.umask(old)
    out = tmp_path / "deep/out"
    assert names(out) == set(FILES)
    assert (out / "a/etc/labctl/boot").stat().st_mode & 0o777 == 0o755
    assert (out / "lab.json").stat().st_mode & 0o777 == 0o644
    assert out.stat().st_mode & 0o777 == 0o755


def test_rendering_again_replaces_everything(tmp_path: Path) -> None:
    out = tmp_path / "out"
    write_folder(out, FILES | {"b/old": (b"", False)})
    inode = out.stat().st_ino
    write_folder(out, FILES)
    assert names(out) == set(FILES)
    assert out.stat().st_ino == inode
    assert [path.name for path in tmp_path.iterdir()] == ["out"]


def test_an_empty_folder_may_be_filled(tmp_path: Path) -> None:
    write_folder(tmp_path, FILES)
    assert names(tmp_path) == set(FILES)


@pytest.mark.parametrize("there", [["precious.txt"], ["lab.json"], ["a.clab.yml"]])
def test_a_folder_that_was_not_rendered_is_refused_and_left_alone(tmp_path: Path, there: list[str]) -> None:
    for name in there:
        (tmp_path / name).write_text("mine")
    with pytest.raises(RenderError, match="was not rendered by labctl"):
        write_folder(tmp_path, FILES)
    assert names(tmp_path) == set(there)


def test_a_file_in_the_place_of_the_folder_is_refused(tmp_path: Path) -> None:
    (tmp_path / "out").write_text("mine")
    with pytest.raises(RenderError, match="Not a directory"):
        write_folder(tmp_path / "out", FILES)
    assert (tmp_path / "out").read_text() == "mine"


def test_an_error_while_writing_leaves_the_old_folder_and_nothing_beside_it(tmp_path: Path) -> None:
    out = tmp_path / "out"
    write_folder(out, FILES)
    with pytest.raises(RenderError):
        write_folder(out, {"a": (b"", False), "a/b": (b"", False)})
    assert names(out) == set(FILES)
    assert [path.name for path in tmp_path.iterdir()] == ["out"]


def test_large_files_are_written_whole(tmp_path: Path) -> None:
    content = bytes(range(256)) * 4096
    write_folder(tmp_path, FILES | {"big": (content, False)})
    assert (tmp_path / "big").read_bytes() == content
