"""Output files: the one place where what a user names as an output is opened and written.

A regular file is replaced in one step, so that whoever reads it sees the old one or the new one, whole.
Anything else that exists (a device, a FIFO, the process's own stdout) is written through, and so is a
symbolic link: its target is written, the link stays. Nothing but a regular file is ever replaced.

In a folder that everybody can write to, such as /tmp, what another user made is refused: a link laid
there in advance would otherwise decide which file root writes. It is the rule of the kernel's
``fs.protected_symlinks``, ``protected_fifos`` and ``protected_regular`` (proc_sys_fs(5)), which not every
machine has switched on. As there, the folders on the way are the user's own choice.
"""

from __future__ import annotations

import errno
import fcntl
import os
import secrets
import stat
import sys
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from labctl.errors import HostError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import IO

__all__ = ["check_output", "numbered", "open_output", "resolve_output", "write_output"]

_MAX_LINKS = 40
"""So many symbolic links Linux follows in one path (path_resolution(7))."""

_OWN_DESCRIPTORS = "/proc/self/fd"
_LOOK = os.O_PATH | os.O_CLOEXEC
_WRITE = os.O_WRONLY | os.O_CLOEXEC | os.O_NOCTTY
_CREATE = _WRITE | os.O_CREAT | os.O_EXCL

_NOT_REPLACEABLE = frozenset({errno.EACCES, errno.EPERM, errno.EROFS, errno.EBUSY})
"""Why a file that may be written cannot be replaced: the folder is not ours to change, the file is a mount
point, or its owner could not be kept."""


def write_output(path: Path, content: str | bytes) -> None:
    """Write a whole output to where the user wants it.

    A regular file keeps its mode and owner. It is written in place where it may be written but not
    replaced. Folders on the way to a new file are made. A FIFO waits for its reader.

    Args:
        path: a file, new or not; a device, a FIFO or ``/dev/stdout``; or a symbolic link to one of them.
        content: text is written as UTF-8.

    Raises:
        HostError: it cannot be written; a file that was to be replaced is as it was.
    """
    data = content.encode() if isinstance(content, str) else content
    with _told(path):
        _make_folder(path)
        with _place(path) as place:
            if place.descriptor is not None:
                _write_to_own(place.descriptor, data)
            elif place.found is None:
                _replace(place, data)
            else:
                _write_over(place, data)


def open_output(path: Path, *, append: bool = False, alone: bool = False) -> IO[str]:
    """Open an output that is written as it comes, in place.

    Args:
        path: as for :func:`write_output`.
        append: keep what is there, and write behind it.
        alone: nobody else who asks the same may have it open; a regular file is locked (flock) as long as it
            is open here.

    Returns:
        The file, for UTF-8 text.

    Raises:
        HostError: it cannot be opened, or another program has it alone.
    """
    with _told(path):
        _make_folder(path)
        with _place(path) as place:
            if place.descriptor is not None:
                handle = os.dup(place.descriptor)
            elif place.found is None:
                handle = os.open(place.name, _CREATE, 0o666, dir_fd=place.folder)
            else:
                handle = place.open(_WRITE | (os.O_APPEND if append else 0))
            regular = stat.S_ISREG(os.fstat(handle).st_mode)
            if alone and regular:
                _lock(handle, path)  # before anything of it is lost
            if place.found is not None and place.descriptor is None and not append and regular:
                os.ftruncate(handle, 0)
        return os.fdopen(handle, "w", encoding="utf-8")


def _lock(handle: int, path: Path) -> None:
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(handle)
        raise HostError(f"{path}: another program is writing it at this moment") from None


def check_output(path: Path) -> None:
    """Find out, before long work, whether an output can be written. Opens, makes and changes nothing.

    Raises:
        HostError: it cannot.
    """
    with _told(path):
        nearest = path.parent
        while not os.path.lexists(nearest) and nearest != nearest.parent:
            nearest = nearest.parent
        if nearest != path.parent:
            _check_access(nearest, os.W_OK | os.X_OK, folder=True)
            return
        with _place(path) as place:
            if place.descriptor is not None:
                os.fstat(place.descriptor)
            elif place.found is None:
                _check_access(f"{_OWN_DESCRIPTORS}/{place.folder}", os.W_OK | os.X_OK, folder=True)
            elif stat.S_ISDIR(place.found.st_mode):
                raise _error(errno.EISDIR)
            elif place.handle is not None:
                _check_access(f"{_OWN_DESCRIPTORS}/{place.handle}", os.W_OK)


def resolve_output(path: Path) -> Path:
    """Where an output, file or folder, really is after all symbolic links; it need not be there yet.

    Raises:
        HostError: a link is broken on the way, or was laid by somebody else (see above).
    """
    with _told(path):
        if not os.path.lexists(path):
            return path.resolve()
        with _place(path) as place:
            folder = Path(f"{_OWN_DESCRIPTORS}/{place.folder}").readlink()
            return (folder / place.name).resolve()


def numbered(path: Path, number: int) -> Path:
    """The name of one of several outputs: ``junit-2.xml``. What is no file serves all of them.

    Raises:
        HostError: as :func:`resolve_output`.
    """
    with _told(path):
        if not os.path.lexists(path):
            return path.with_stem(f"{path.stem}-{number}")
        with _place(path) as place:
            kept = place.descriptor is not None or not _is_file(place.found)
    return path if kept else path.with_stem(f"{path.stem}-{number}")


def _is_file(found: os.stat_result | None) -> bool:
    return found is None or stat.S_ISREG(found.st_mode)


# ---- where a path leads ------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Place:
    """Where a path leads after its last component's symbolic links.

    Attributes:
        folder: an O_PATH descriptor; nobody can exchange it for another one.
        name: in the folder.
        found: what is there; None: nothing.
        handle: of what is there, by O_PATH: what was judged is what is opened.
        descriptor: one of this process's own that the path names (``/dev/stdout``).
    """

    folder: int
    name: str
    found: os.stat_result | None = None
    handle: int | None = None
    descriptor: int | None = None

    def open(self, flags: int) -> int:
        """Open what is there for writing."""
        if self.handle is None:  # another process's descriptor: only the kernel can follow such a link
            return os.open(self.name, flags, dir_fd=self.folder)
        return os.open(f"{_OWN_DESCRIPTORS}/{self.handle}", flags)


@contextmanager
def _place(path: Path) -> Iterator[_Place]:
    with ExitStack() as stack:

        def look(name: str, flags: int, within: int | None) -> int:
            handle = os.open(name, _LOOK | flags, dir_fd=within)
            stack.callback(os.close, handle)
            return handle

        folder, rest = None, str(path)
        for _ in range(_MAX_LINKS + 1):
            above, name = os.path.split(rest)
            name = name or "."
            folder = look(above or ".", os.O_DIRECTORY, folder)
            if name.isdecimal() and os.path.samestat(os.fstat(folder), os.stat(_OWN_DESCRIPTORS)):  # noqa: PTH116
                # Opened anew, stdout would have an offset of its own and overwrite what is printed.
                yield _Place(folder, name, descriptor=int(name))
                return
            try:
                handle = look(name, os.O_NOFOLLOW, folder)
            except FileNotFoundError:
                yield _Place(folder, name)
                return
            found = os.fstat(handle)
            _refuse_planted(found, os.fstat(folder))
            if not stat.S_ISLNK(found.st_mode):
                yield _Place(folder, name, found, handle)
                return
            if found.st_dev == os.stat("/proc").st_dev:  # noqa: PTH116
                yield _Place(folder, name, found)
                return
            rest = os.readlink("", dir_fd=handle)
        raise _error(errno.ELOOP)


def _refuse_planted(found: os.stat_result, folder: os.stat_result) -> None:
    shared = folder.st_mode & stat.S_ISVTX and folder.st_mode & stat.S_IWOTH
    if shared and found.st_uid not in {os.geteuid(), folder.st_uid}:
        raise OSError(
            errno.EACCES,
            f"belongs to another user (uid {found.st_uid}), in a folder that everybody can write to;"
            " remove it or write elsewhere",
        )


# ---- writing -----------------------------------------------------------------------------------


def _write_over(place: _Place, data: bytes) -> None:
    handle = place.open(_WRITE)  # who may not write the file may not replace it
    try:
        old = os.fstat(handle)
        if stat.S_ISREG(old.st_mode):
            if place.handle is not None and _replaced(place, data, old):
                return
            os.ftruncate(handle, 0)
        _write_all(handle, data)
    finally:
        os.close(handle)


def _replaced(place: _Place, data: bytes, old: os.stat_result) -> bool:
    try:
        _replace(place, data, old)
    except OSError as error:
        if error.errno in _NOT_REPLACEABLE:
            return False
        raise
    return True


def _replace(place: _Place, data: bytes, old: os.stat_result | None = None) -> None:
    """Write beside the name, then move there. The old file stands until the new one is whole."""
    fresh = f".labctl-{secrets.token_hex(8)}"
    handle = os.open(fresh, _CREATE, 0o666 if old is None else 0o600, dir_fd=place.folder)
    try:
        try:
            if old is not None:
                _take_after(handle, old)
            _write_all(handle, data)
        finally:
            os.close(handle)
        os.replace(fresh, place.name, src_dir_fd=place.folder, dst_dir_fd=place.folder)
    except BaseException:
        with suppress(OSError):
            os.unlink(fresh, dir_fd=place.folder)
        raise


def _take_after(handle: int, old: os.stat_result) -> None:
    now = os.fstat(handle)
    if (now.st_uid, now.st_gid) != (old.st_uid, old.st_gid):
        os.fchown(handle, old.st_uid, old.st_gid)
    os.fchmod(handle, old.st_mode & 0o777)


def _write_to_own(descriptor: int, data: bytes) -> None:
    try:
        sys.stdout.flush()  # what was printed before comes before
        _write_all(descriptor, data)
    except BrokenPipeError as error:
        if descriptor == sys.stdout.fileno():
            raise _ReaderGoneError from error
        raise


def _write_all(handle: int, data: bytes) -> None:
    rest = memoryview(data)
    while rest:
        rest = rest[os.write(handle, rest) :]


# ---- errors ------------------------------------------------------------------------------------


class _ReaderGoneError(Exception):
    """Whoever read our stdout has gone: for the command line as if it had been printed."""


@contextmanager
def _told(path: Path) -> Iterator[None]:
    try:
        yield
    except _ReaderGoneError as gone:
        raise BrokenPipeError(errno.EPIPE, os.strerror(errno.EPIPE)) from gone
    except OSError as error:
        raise HostError(f"{path}: {error.strerror}") from error


def _error(number: int) -> OSError:
    return OSError(number, os.strerror(number))


def _make_folder(path: Path) -> None:
    with suppress(FileExistsError):  # opening it says better what it is
        path.parent.mkdir(parents=True, exist_ok=True)


def _check_access(path: str | Path, wanted: int, *, folder: bool = False) -> None:
    if folder and not os.path.isdir(path):  # noqa: PTH112 - also of a descriptor's name
        raise _error(errno.ENOTDIR)
    if not os.access(path, wanted, effective_ids=True):
        read_only = os.statvfs(path).f_flag & os.ST_RDONLY
        raise _error(errno.EROFS if read_only else errno.EACCES)
