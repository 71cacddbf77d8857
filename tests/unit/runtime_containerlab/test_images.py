"""What a build is sent and what is read of its output."""

from __future__ import annotations

import tarfile
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from labctl.errors import HostError
from labctl.events import silent
from labctl.runtime.containerlab import images

ROOT = Path(__file__).parents[3]


@given(lines=st.lists(st.text("ab ", min_size=1), max_size=6), cuts=st.lists(st.integers(1, 9), min_size=1))
def test_lines_are_whole_however_the_engine_cuts_them(lines: list[str], cuts: list[int]) -> None:
    text = "".join(f"{line}\n" for line in lines)
    pieces: list[dict[str, str]] = []
    at = 0
    while at < len(text):
        size = cuts[len(pieces) % len(cuts)]
        pieces.append({"stream": f"\x1b[91m{text[at : at + size]}\x1b[0m"})
        at += size
    assert list(images._lines(pieces)) == [line.rstrip() for line in lines if line.strip()]


def test_an_error_ends_the_output() -> None:
    assert list(images._lines([{"stream": "E: "}, {"stream": "x\n"}, {"error": "code 100"}])) == [
        "E: x",
        "error: code 100",
    ]


def test_a_build_can_copy_from_its_folder_and_from_labctl_and_from_nowhere_else() -> None:
    with tarfile.open(fileobj=images._context("router")) as tar:
        names = tar.getnames()
        assert {entry.mtime for entry in tar.getmembers()} == {0}
    assert "./Dockerfile" in names
    assert "labctl/overlay/__init__.py" in names
    assert {name.split("/")[0] for name in names} == {".", "labctl"}
    assert not [name for name in names if "__pycache__" in name]


def test_the_same_files_are_the_same_context() -> None:
    assert images._context("host").read() == images._context("host").read()


def test_an_image_that_is_none_is_refused_before_an_engine_is_asked() -> None:
    with pytest.raises(HostError, match="no image named 'nope': there is"):
        images.build(["nope"], silent)


def test_every_image_begins_with_the_same_layers() -> None:
    heads = {
        name: (ROOT / "images" / name / "Dockerfile").read_text().split("FROM ")[-1].split("\n\n")[1]
        for name in images.names()
    }
    assert len(heads) >= 2
    assert len(set(heads.values())) == 1, heads


def test_every_image_can_be_built_on_another_base() -> None:
    for name in images.names():
        lines = (ROOT / "images" / name / "Dockerfile").read_text().splitlines()
        assert f"ARG BASE={images.BASE_IMAGE}" in lines, name
        assert {line.split()[1] for line in lines if line.startswith("FROM ")} == {"${BASE}"}, name
