"""What a user names as an output is written to; nothing but a regular file is ever replaced."""

from __future__ import annotations

import ctypes
import errno
import os
import shutil
import socket
import stat
import subprocess
import sys
import tempfile
import threading
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from labctl.errors import HostError
from labctl.output_file import check_output, numbered, open_output, resolve_output, write_output

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

NULL, FULL = os.makedev(1, 3), os.makedev(1, 7)
NOBODY = 65534
PR_SET_DUMPABLE = 4
needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="needs root")


@pytest.fixture
def folder() -> Iterator[Path]:
    """A folder that every user can reach; tmp_path is its owner's alone."""
    made = Path(tempfile.mkdtemp(prefix="labctl-test-"))
    made.chmod(0o755)
    yield made
    shutil.rmtree(made)


@pytest.fixture
def shared(folder: Path) -> Path:
    """A folder as /tmp is: everybody can write, and remove what is their own."""
    made = folder / "shared"
    made.mkdir()
    made.chmod(0o1777)
    return made


@contextmanager
def user(uid: int) -> Iterator[None]:
    """Be another user for a while, without root's capabilities."""
    groups = os.getgroups()
    os.setgroups([])
    os.setegid(uid)
    os.seteuid(uid)
    # The kernel gives /proc/self to root when a process changes its user, until it calls exec.
    assert ctypes.CDLL(None).prctl(PR_SET_DUMPABLE, 1, 0, 0, 0) == 0
    try:
        yield
    finally:
        os.seteuid(0)
        os.setegid(0)
        os.setgroups(groups)


def device(path: Path, number: int) -> Path:
    try:
        os.mknod(path, stat.S_IFCHR | 0o666, number)
        path.chmod(0o666)
        os.close(os.open(path, os.O_WRONLY))
    except PermissionError:
        pytest.skip("no device can be made and opened here")
    return path


def names(path: Path) -> set[str]:
    return {entry.name for entry in path.iterdir()}


# ---- what is no regular file is written through ------------------------------------------------


@needs_root
def test_a_device_stays_the_device_that_it_is(folder: Path) -> None:
    null = device(folder / "null", NULL)
    write_output(null, "text")
    assert stat.S_ISCHR(null.stat().st_mode)
    assert null.stat().st_rdev == NULL
    assert names(folder) == {"null"}


@needs_root
def test_a_full_device_is_an_error_of_one_line(folder: Path) -> None:
    full = device(folder / "full", FULL)
    with pytest.raises(HostError) as caught:
        write_output(full, "text")
    assert str(caught.value) == f"{full}: No space left on device"
    assert full.stat().st_rdev == FULL


@needs_root
def test_a_symbolic_link_to_a_device_leads_to_it(folder: Path) -> None:
    null = device(folder / "null", NULL)
    link = folder / "link"
    link.symlink_to("null")
    write_output(link, "text")
    assert link.is_symlink()
    assert null.stat().st_rdev == NULL


def test_a_reader_of_a_fifo_gets_all_of_it(folder: Path) -> None:
    fifo = folder / "fifo"
    os.mkfifo(fifo)
    text = "x" * 300_000  # more than a pipe holds
    got: list[str] = []
    reader = threading.Thread(target=lambda: got.append(fifo.read_text()))
    reader.start()
    write_output(fifo, text)
    reader.join()
    assert got == [text]
    assert stat.S_ISFIFO(fifo.lstat().st_mode)


def test_a_reader_of_a_fifo_that_goes_away_is_an_error(folder: Path) -> None:
    fifo = folder / "fifo"
    os.mkfifo(fifo)
    reader = threading.Thread(target=lambda: os.close(os.open(fifo, os.O_RDONLY)))
    reader.start()
    with pytest.raises(HostError, match="fifo: Broken pipe"):
        write_output(fifo, "x" * 300_000)
    reader.join()
    assert stat.S_ISFIFO(fifo.lstat().st_mode)


def test_a_socket_is_refused_and_stays(folder: Path) -> None:
    with socket.socket(socket.AF_UNIX) as one:
        one.bind(str(folder / "socket"))
    with pytest.raises(HostError, match="socket: No such device or address"):
        write_output(folder / "socket", "text")
    assert stat.S_ISSOCK((folder / "socket").stat().st_mode)


def test_a_folder_is_refused_and_stays(folder: Path) -> None:
    (folder / "inner").mkdir()
    for one in (folder / "inner", folder / "inner/.", folder / "inner/..", Path("/")):
        with pytest.raises(HostError, match="Is a directory"):
            write_output(one, "text")
        with pytest.raises(HostError, match="Is a directory"):
            check_output(one)
    assert names(folder) == {"inner"}


# ---- symbolic links ----------------------------------------------------------------------------


def test_a_symbolic_link_stays_and_its_target_is_replaced(folder: Path) -> None:
    (folder / "deep").mkdir()
    (folder / "deep/target").write_text("a long text that was there before")
    (folder / "link").symlink_to("deep/again")
    (folder / "deep/again").symlink_to("target")
    write_output(folder / "link", "text")
    assert (folder / "link").readlink() == Path("deep/again")
    assert (folder / "deep/again").readlink() == Path("target")
    assert (folder / "deep/target").read_text() == "text"
    assert names(folder / "deep") == {"again", "target"}


def test_the_target_of_a_dangling_link_is_made_as_a_shell_does(folder: Path) -> None:
    (folder / "link").symlink_to("target")
    write_output(folder / "link", "text")
    assert (folder / "link").is_symlink()
    assert (folder / "target").read_text() == "text"


def test_a_link_into_a_folder_that_is_not_there_makes_none(folder: Path) -> None:
    (folder / "link").symlink_to("nowhere/target")
    with pytest.raises(HostError, match="link: No such file or directory"):
        write_output(folder / "link", "text")
    assert names(folder) == {"link"}


def test_links_that_lead_in_a_circle_are_an_error(folder: Path) -> None:
    (folder / "a").symlink_to("b")
    (folder / "b").symlink_to("a")
    with pytest.raises(HostError, match="a: Too many levels of symbolic links"):
        write_output(folder / "a", "text")


# ---- regular files are replaced in one step ----------------------------------------------------


def test_a_new_file_obeys_the_umask_and_its_folders_are_made(folder: Path) -> None:
    old = os.umask(0o027)
    try:
        write_output(folder / "deep/new", b"text")
    finally:
        os.umask(old)
    assert (folder / "deep/new").read_bytes() == b"text"
    assert (folder / "deep/new").stat().st_mode & 0o777 == 0o640
    assert names(folder / "deep") == {"new"}


def test_a_file_is_replaced_and_keeps_its_mode(folder: Path) -> None:
    path = folder / "file"
    path.write_text("before")
    path.chmod(0o600)
    with path.open() as before:
        write_output(path, "after")
        assert before.read() == "before"  # who has the old one open keeps it whole
    assert path.read_text() == "after"
    assert path.stat().st_mode & 0o777 == 0o600
    assert names(folder) == {"file"}


@pytest.mark.parametrize("failure", [OSError(errno.ENOSPC, "No space left on device"), KeyboardInterrupt()])
def test_what_fails_half_way_leaves_the_old_file_and_nothing_else(
    folder: Path, monkeypatch: pytest.MonkeyPatch, failure: BaseException
) -> None:
    path = folder / "file"
    path.write_text("before")
    written: list[bytes] = []

    def write(handle: int, data: bytes) -> int:
        if written:
            raise failure
        written.append(data)
        return 2

    monkeypatch.setattr(os, "write", write)
    with pytest.raises((HostError, KeyboardInterrupt)):
        write_output(path, "after")
    monkeypatch.undo()
    assert written
    assert path.read_text() == "before"
    assert names(folder) == {"file"}


def test_a_name_as_long_as_names_can_be(folder: Path) -> None:
    path = folder / ("n" * 255)
    write_output(path, "one")
    write_output(path, "two")
    assert path.read_text() == "two"


@needs_root
def test_a_file_keeps_its_owner(folder: Path) -> None:
    path = folder / "file"
    path.write_text("before")
    os.chown(path, NOBODY, NOBODY)
    write_output(path, "after")
    assert path.read_text() == "after"
    assert (path.stat().st_uid, path.stat().st_gid) == (NOBODY, NOBODY)


@needs_root
def test_an_ordinary_user_cannot_write_what_is_read_only(folder: Path) -> None:
    folder.chmod(0o777)
    path = folder / "file"
    path.write_text("before")
    path.chmod(0o444)
    calls: tuple[Callable[[], object], ...] = (
        lambda: write_output(path, "after"),
        lambda: check_output(path),
    )
    with user(NOBODY):
        for call in calls:
            with pytest.raises(HostError) as caught:
                call()
            assert str(caught.value) == f"{path}: Permission denied"
    assert path.read_text() == "before"
    write_output(path, "after")  # root may, as in a shell
    assert (path.read_text(), path.stat().st_mode & 0o777) == ("after", 0o444)


@needs_root
def test_a_file_in_a_folder_that_cannot_be_written_is_written_in_place(folder: Path) -> None:
    path = folder / "file"
    path.write_text("a long text that was there before")
    path.chmod(0o666)
    inode = path.stat().st_ino
    with user(NOBODY):
        check_output(path)
        write_output(path, "after")
    assert path.read_text() == "after"
    assert (path.stat().st_ino, path.stat().st_uid) == (inode, 0)
    with user(NOBODY), pytest.raises(HostError, match="new: Permission denied"):
        write_output(folder / "new", "text")


@needs_root
def test_a_file_of_somebody_else_is_not_taken_over(folder: Path) -> None:
    folder.chmod(0o777)
    path = folder / "file"
    path.write_text("before")
    path.chmod(0o666)
    with user(NOBODY):
        write_output(path, "after")
    assert (path.read_text(), path.stat().st_uid) == ("after", 0)
    assert names(folder) == {"file"}


@needs_root
def test_a_file_that_is_a_mount_point_is_written_in_place(folder: Path) -> None:
    for name in ("file", "under"):
        (folder / name).write_text("a long text that was there before")
    code = (
        "import sys; from pathlib import Path; from labctl.output_file import write_output;"
        "write_output(Path(sys.argv[1]), 'after');"
        "print(*sorted(path.name for path in Path(sys.argv[2]).iterdir()))"
    )
    script = 'mount --bind "$1/under" "$1/file" && exec "$2" -c "$3" "$1/file" "$1"'
    done = subprocess.run(
        ["unshare", "--mount", "sh", "-c", script, "sh", str(folder), sys.executable, code],
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "file under\n", "")
    assert (folder / "under").read_text() == "after"


# ---- a folder that everybody can write to ------------------------------------------------------


@needs_root
@pytest.mark.parametrize("target", ["precious", "new"])
def test_a_link_that_somebody_else_laid_in_a_shared_folder_is_not_followed(
    folder: Path, shared: Path, target: str
) -> None:
    (folder / "precious").write_text("before")
    link = shared / "junit.xml"
    with user(NOBODY):
        link.symlink_to(folder / target)
    for call in (
        lambda: write_output(link, "text"),
        lambda: open_output(link),
        lambda: check_output(link),
        lambda: resolve_output(link),
    ):
        with pytest.raises(HostError, match=r"junit\.xml: belongs to another user \(uid 65534\)"):
            call()
    assert names(folder) == {"precious", "shared"}
    assert (folder / "precious").read_text() == "before"


@needs_root
@pytest.mark.parametrize("kind", ["file", "fifo", "folder"])
def test_what_somebody_else_made_in_a_shared_folder_is_not_written_to(shared: Path, kind: str) -> None:
    path = shared / "junit.xml"
    with user(NOBODY):
        {"file": path.touch, "fifo": lambda: os.mkfifo(path), "folder": path.mkdir}[kind]()
    with pytest.raises(HostError, match="belongs to another user"):
        write_output(path, "text")
    assert names(shared) == {"junit.xml"}


@needs_root
def test_ones_own_links_and_files_in_a_shared_folder_are_ones_own(shared: Path) -> None:
    with user(NOBODY):
        (shared / "file").write_text("before")
        (shared / "link").symlink_to("file")
        write_output(shared / "link", "after")
    assert (shared / "file").read_text() == "after"


@needs_root
def test_what_the_owner_of_a_shared_folder_made_is_trusted(shared: Path) -> None:
    (shared / "file").write_text("before")
    (shared / "file").chmod(0o666)
    with user(NOBODY):
        write_output(shared / "file", "after")
    assert ((shared / "file").read_text(), (shared / "file").stat().st_uid) == ("after", 0)


# ---- a process's own descriptors ---------------------------------------------------------------


TELL = (
    "import sys; from pathlib import Path; from labctl.output_file import write_output;"
    "print('first'); write_output(Path(sys.argv[1]), 'second\\n'); print('third')"
)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["/dev/stdout", "/dev/fd/1", "/proc/self/fd/1"])
def test_stdout_by_name_keeps_the_order_of_what_is_printed(name: str, folder: Path) -> None:
    whole = "first\nsecond\nthird\n"
    piped = subprocess.run([sys.executable, "-c", TELL, name], stdout=subprocess.PIPE, text=True, check=True)
    assert piped.stdout == whole
    (folder / "log").write_text("before\n")
    with (folder / "log").open("a") as log:
        subprocess.run([sys.executable, "-c", TELL, name], stdout=log, check=True)
    assert (folder / "log").read_text() == "before\n" + whole
    near, far = socket.socketpair()  # no name opens a socket; its descriptor serves
    with near, far:
        subprocess.run([sys.executable, "-c", TELL, name], stdout=near.fileno(), check=True)
        assert far.recv(100) == whole.encode()


def test_a_descriptor_that_is_not_open_is_an_error() -> None:
    with pytest.raises(HostError, match="/dev/fd/999: Bad file descriptor"):
        write_output(Path("/dev/fd/999"), "text")


def test_a_descriptor_of_another_process_is_written_through(folder: Path) -> None:
    with (folder / "file").open("w") as file:
        other = subprocess.Popen(["sleep", "60"], stdout=file)
    try:
        write_output(Path(f"/proc/{other.pid}/fd/1"), "text")
    finally:
        other.kill()
        other.wait()
    assert (folder / "file").read_text() == "text"


# ---- written as it comes -----------------------------------------------------------------------


def test_what_is_written_as_it_comes_is_there_at_once(folder: Path) -> None:
    (folder / "target").write_text("a long text that was there before")
    (folder / "link").symlink_to("target")
    with open_output(folder / "link") as file:
        file.write("one\n")
        file.flush()
        assert (folder / "target").read_text() == "one\n"
    with open_output(folder / "link", append=True) as file:
        file.write("two\n")
    assert (folder / "target").read_text() == "one\ntwo\n"
    assert (folder / "link").is_symlink()
    with open_output(folder / "deep/new") as file:
        file.write("new")
    assert (folder / "deep/new").read_text() == "new"


# ---- asked beforehand, and several -------------------------------------------------------------


def test_checking_opens_and_makes_nothing(folder: Path) -> None:
    os.mkfifo(folder / "fifo")
    check_output(folder / "fifo")  # opening one without a reader would wait for ever
    check_output(folder / "deep/er/new")
    check_output(Path("/dev/stdout"))
    assert names(folder) == {"fifo"}
    (folder / "file").touch()
    with pytest.raises(HostError, match="Not a directory"):
        check_output(folder / "file/new")


@needs_root
def test_checking_says_that_a_folder_cannot_be_written(folder: Path) -> None:
    with user(NOBODY):
        for name in ("new", "deep/new"):
            with pytest.raises(HostError, match="new: Permission denied"):
                check_output(folder / name)


def test_each_of_several_files_gets_a_name_of_its_own(folder: Path) -> None:
    (folder / "file.xml").touch()
    for name in ("file.xml", "new.xml"):
        assert numbered(folder / name, 2) == folder / f"{name[:-4]}-2.xml"


def test_several_outputs_share_what_is_no_file(folder: Path) -> None:
    os.mkfifo(folder / "fifo")
    (folder / "link").symlink_to("fifo")
    for path in (folder / "fifo", folder / "link", Path("/dev/null"), Path("/dev/stdout")):
        assert numbered(path, 2) == path


def test_of_two_who_want_a_file_alone_the_second_is_refused_and_nothing_of_it_is_lost(tmp_path: Path) -> None:
    path = tmp_path / "journal.jsonl"
    with open_output(path, alone=True) as first:
        first.write("one\n")
        first.flush()
        with pytest.raises(HostError, match=r"journal\.jsonl: another program is writing it at this moment"):
            open_output(path, alone=True)
        assert path.read_text() == "one\n"
    with open_output(path, alone=True) as third:
        third.write("two\n")
    assert path.read_text() == "two\n"
