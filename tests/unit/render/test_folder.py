"""A rendered folder is written whole, and nobody else's folder is touched."""

from __future__ import annotations

import errno
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from labctl.errors import RenderError
from labctl.render.folder import write_folder

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


# ---- the old contents or the new, never neither ------------------------------------------------


def contents(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


OLD = {"old.clab.yml": (b"name: old\n", False), "b/file": (b"old", False), "lab.json": (b"[]", False)}


def plain(files: dict[str, tuple[bytes, bool]]) -> dict[str, bytes]:
    return {name: content for name, (content, _) in files.items()}


@pytest.mark.parametrize("name", [".", "../out", "../link", "../out/."])
def test_the_folder_one_is_in_is_rendered_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    out = tmp_path / "out"
    (tmp_path / "link").symlink_to("out")
    write_folder(out, OLD)
    monkeypatch.chdir(out)
    write_folder(Path(name), FILES)
    assert contents(out) == plain(FILES)
    assert {path.name for path in tmp_path.iterdir()} == {"out", "link"}


def test_a_link_to_a_folder_that_is_not_there_makes_it(tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to("out")
    write_folder(tmp_path / "link", FILES)
    assert (tmp_path / "link").is_symlink()
    assert contents(tmp_path / "out") == plain(FILES)


def moves_of(out: Path, monkeypatch: pytest.MonkeyPatch, fail_at: int | None, error: BaseException) -> int:
    """Render into a folder and let one of its moves fail; how many there were."""
    count = 0
    real = os.rename

    def rename(*args: Any, **options: Any) -> None:
        nonlocal count
        count += 1
        if count == fail_at:
            raise error
        real(*args, **options)

    with monkeypatch.context() as patch:
        for name in ("rename", "replace"):
            patch.setattr(os, name, rename)
        try:
            write_folder(out, FILES)
        except (RenderError, KeyboardInterrupt):
            assert fail_at is not None
    return count


@pytest.mark.parametrize("error", [OSError(errno.EBUSY, "Device or resource busy"), KeyboardInterrupt()])
def test_whichever_move_fails_the_old_folder_is_there_whole(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: BaseException
) -> None:
    out = tmp_path / "out"
    write_folder(out, OLD)
    moves = moves_of(out, monkeypatch, None, error)
    assert moves > len(FILES)
    for fail_at in range(1, moves + 1):
        write_folder(out, OLD)
        moves_of(out, monkeypatch, fail_at, error)
        assert contents(out) == plain(OLD), fail_at
        assert {path.name for path in out.iterdir()} == {"old.clab.yml", "b", "lab.json"}


@pytest.mark.parametrize("empty", [True, False])
def test_killed_at_any_move_nothing_is_lost_and_the_next_render_mends_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, *, empty: bool
) -> None:
    before = {} if empty else plain(OLD)
    for fail_at in range(1, 40):
        out = tmp_path / f"out{fail_at}"
        out.mkdir()
        if not empty:
            write_folder(out, OLD)
        if not killed_at(out, fail_at):
            assert fail_at > len(FILES)
            break
        there = [path.read_bytes() for path in out.rglob("*") if path.is_file()]
        assert all(content in there for content in before.values())
        write_folder(out, FILES)
        assert contents(out) == plain(FILES)
        assert not [path for path in out.iterdir() if path.name.startswith(".")]
    else:
        pytest.fail("it never went through")


def killed_at(out: Path, move: int) -> bool:
    """Render in a process that dies, as by SIGKILL, instead of its nth move; whether it did."""
    child = os.fork()
    if child == 0:
        count, real = 0, os.rename

        def rename(*args: Any, **options: Any) -> None:
            nonlocal count
            count += 1
            if count == move:
                os._exit(9)
            real(*args, **options)

        try:
            os.rename = os.replace = rename
            write_folder(out, FILES)
        except BaseException:  # noqa: BLE001 - nothing of pytest may run on in the child
            os._exit(1)
        os._exit(0)
    code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    assert code in {0, 9}
    return code == 9


needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="needs root")
WRITE = (
    "import sys; from pathlib import Path; from labctl.render.folder import write_folder;"
    f"from labctl.errors import RenderError\nFILES = {FILES!r}\nOLD = {OLD!r}\n"
    "out = Path(sys.argv[1])\n"
)


def in_mounts(script: str, out: Path, code: str) -> subprocess.CompletedProcess[str]:
    """Run Python where a shell script mounted something first; the mounts go with it."""
    return subprocess.run(
        [
            *("unshare", "--mount", "sh", "-ec", f'{script}; exec "$2" -c "$3" "$1"'),
            *("sh", str(out), sys.executable, WRITE + code),
        ],
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.mark.slow
@needs_root
def test_a_mount_point_is_rendered_again_and_again(tmp_path: Path) -> None:
    out = tmp_path / "out"
    out.mkdir()
    code = (
        "(out / 'lost+found').mkdir()\n"  # what mkfs leaves in every new ext4
        "write_folder(out, OLD); write_folder(out, FILES)\n"
        "print(*sorted(str(p.relative_to(out)) for p in out.rglob('*') if p.is_file()))\n"
        "assert (out / 'lost+found').is_dir()"
    )
    done = in_mounts('mount -t tmpfs none "$1"', out, code)
    assert (done.stdout, done.stderr) == ("a/etc/labctl/boot lab.json x.clab.yml\n", "")


@pytest.mark.slow
@needs_root
def test_a_file_system_that_is_full_keeps_the_old_folder(tmp_path: Path) -> None:
    out = tmp_path / "out"
    out.mkdir()
    code = (
        "write_folder(out, OLD)\n"
        "try: write_folder(out, FILES | {'a/big': (bytes(1 << 20), False)})\n"
        "except RenderError as error: print(error)\n"
        "print(*sorted(str(p.relative_to(out)) for p in out.rglob('*')))\n"
    )
    done = in_mounts('mount -t tmpfs -o size=256k none "$1"', out, code)
    assert (done.stdout, done.stderr) == (
        f"{out}: No space left on device\nb b/file lab.json old.clab.yml\n",
        "",
    )


@pytest.mark.slow
@needs_root
def test_a_mount_inside_the_folder_is_not_emptied(tmp_path: Path) -> None:
    out = tmp_path / "out"
    write_folder(out, OLD)
    code = (
        "(out / 'b/precious').write_text('mine')\n"
        "try: write_folder(out, FILES)\n"
        "except RenderError as error: print(error)\n"
        "print(*sorted(str(p.relative_to(out)) for p in out.rglob('*')))\n"
    )
    done = in_mounts('mount -t tmpfs none "$1/b"', out, code)
    assert (done.stdout, done.stderr) == (
        f"{out}: Device or resource busy\nb b/precious lab.json old.clab.yml\n",
        "",
    )
