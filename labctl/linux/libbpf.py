"""libbpf by ctypes: load one object, find its maps and programs, attach them to interfaces.

libbpf.so.1 (Debian's libbpf1) does the work; this file holds only what its C interface needs. Nothing is
pinned: a program on an interface holds its maps, so they live and end with the network namespace.
A restarted agent finds them through the interface (``maps_behind``).
"""

from __future__ import annotations

import ctypes
import errno
import os
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from labctl.errors import HostError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

__all__ = ["LibBpf", "Loaded"]

_TC_INGRESS = 1
_TC_REPLACE = 1
_HANDLE = 1
_PRIORITY = 1
_OBJECT_NAME_LENGTH = 16
_LAST_ERRNO = 4095


_INT, _UINT32, _UINT64 = ctypes.c_int, ctypes.c_uint32, ctypes.c_uint64
_TEXT, _POINTER = ctypes.c_char_p, ctypes.c_void_p
# Of libbpf 1.0 and later, whose functions return negative errno values. A pointer to bytes that may
# hold zeroes is a plain pointer here: ctypes takes bytes for it as they are.
_PROTOTYPES: dict[str, tuple[Any, tuple[Any, ...]]] = {
    "libbpf_set_print": (_POINTER, (_POINTER,)),
    "bpf_object__open_file": (_POINTER, (_TEXT, _POINTER)),
    "bpf_object__load": (_INT, (_POINTER,)),
    "bpf_object__close": (None, (_POINTER,)),
    "bpf_object__find_program_by_name": (_POINTER, (_POINTER, _TEXT)),
    "bpf_object__find_map_by_name": (_POINTER, (_POINTER, _TEXT)),
    "bpf_object__find_map_fd_by_name": (_INT, (_POINTER, _TEXT)),
    "bpf_program__fd": (_INT, (_POINTER,)),
    "bpf_map__reuse_fd": (_INT, (_POINTER, _INT)),
    "bpf_map__key_size": (_UINT32, (_POINTER,)),
    "bpf_map__value_size": (_UINT32, (_POINTER,)),
    "bpf_map__set_max_entries": (_INT, (_POINTER, _UINT32)),
    "bpf_tc_hook_create": (_INT, (_POINTER,)),
    "bpf_tc_attach": (_INT, (_POINTER, _POINTER)),
    "bpf_tc_detach": (_INT, (_POINTER, _POINTER)),
    "bpf_tc_query": (_INT, (_POINTER, _POINTER)),
    "bpf_prog_get_fd_by_id": (_INT, (_UINT32,)),
    "bpf_map_get_fd_by_id": (_INT, (_UINT32,)),
    "bpf_obj_get_info_by_fd": (_INT, (_INT, _POINTER, _POINTER)),
    "bpf_map_update_elem": (_INT, (_INT, _POINTER, _POINTER, _UINT64)),
    "bpf_map_update_batch": (_INT, (_INT, _POINTER, _POINTER, _POINTER, _POINTER)),
    "bpf_map_lookup_elem": (_INT, (_INT, _POINTER, _POINTER)),
    "bpf_map_lookup_batch": (_INT, (_INT, _POINTER, _POINTER, _POINTER, _POINTER, _POINTER, _POINTER)),
    "bpf_map_delete_elem": (_INT, (_INT, _POINTER)),
}
_ANY, _NOEXIST = 0, 1
_NO_PROGRAM = (0, -errno.ENOENT, -errno.EINVAL)
"""What is said of an interface without clsact, or without a program of ours; 0 where there is one."""


class _TcHook(ctypes.Structure):
    _fields_ = (
        ("sz", ctypes.c_size_t),
        ("ifindex", ctypes.c_int),
        ("attach_point", ctypes.c_int),
        ("parent", ctypes.c_uint32),
    )


class _TcOpts(ctypes.Structure):
    _fields_ = (
        ("sz", ctypes.c_size_t),
        ("prog_fd", ctypes.c_int),
        ("flags", ctypes.c_uint32),
        ("prog_id", ctypes.c_uint32),
        ("handle", ctypes.c_uint32),
        ("priority", ctypes.c_uint32),
    )


class _ProgInfo(ctypes.Structure):
    """The head of the kernel's struct bpf_prog_info, up to the name."""

    _fields_ = (
        ("type", ctypes.c_uint32),
        ("id", ctypes.c_uint32),
        ("tag", ctypes.c_uint8 * 8),
        ("jited_prog_len", ctypes.c_uint32),
        ("xlated_prog_len", ctypes.c_uint32),
        ("jited_prog_insns", ctypes.c_uint64),
        ("xlated_prog_insns", ctypes.c_uint64),
        ("load_time", ctypes.c_uint64),
        ("created_by_uid", ctypes.c_uint32),
        ("nr_map_ids", ctypes.c_uint32),
        ("map_ids", ctypes.c_uint64),
        ("name", ctypes.c_char * _OBJECT_NAME_LENGTH),
    )


class _MapInfo(ctypes.Structure):
    """The head of the kernel's struct bpf_map_info, up to the name."""

    _fields_ = (
        ("type", ctypes.c_uint32),
        ("id", ctypes.c_uint32),
        ("key_size", ctypes.c_uint32),
        ("value_size", ctypes.c_uint32),
        ("max_entries", ctypes.c_uint32),
        ("map_flags", ctypes.c_uint32),
        ("name", ctypes.c_char * _OBJECT_NAME_LENGTH),
    )


@dataclass(frozen=True, slots=True)
class Loaded:
    """File descriptors of a loaded object, by name.

    Attributes:
        programs: of the programs.
        maps: of the maps.
        reused: names of the maps that were there before, with their contents.
    """

    programs: Mapping[str, int]
    maps: Mapping[str, int]
    reused: frozenset[str] = frozenset()


class LibBpf:
    """The few calls of libbpf that a flow cache needs. Every failure is an OSError with its errno."""

    def __init__(self) -> None:
        """Open the library.

        Raises:
            HostError: libbpf.so.1 is not there.
        """
        try:
            self._lib = ctypes.CDLL("libbpf.so.1", use_errno=True)
        except OSError as error:
            raise HostError("libbpf.so.1 is missing: install the package libbpf1") from error
        for name, (result, arguments) in _PROTOTYPES.items():
            function = getattr(self._lib, name)
            function.restype, function.argtypes = result, arguments
        self._lib.libbpf_set_print(None)  # what it would print on stderr comes back as errno too

    def load(
        self,
        path: Path,
        programs: tuple[str, ...],
        maps: tuple[str, ...],
        reuse: Mapping[str, int],
        sizes: Mapping[str, int],
    ) -> Loaded:
        """Load an object.

        Args:
            path: the compiled object.
            programs: names of those wanted.
            maps: names of those wanted.
            reuse: maps of the same names (name -> fd) are taken over with their contents, where their keys
                and values have the same sizes.
            sizes: most entries of maps that are made anew, where not as compiled.
        """
        lib = self._lib
        handle = lib.bpf_object__open_file(os.fsencode(path), None)
        if not handle:
            raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()), str(path))
        try:
            reused = set()
            for name, fd in reuse.items():
                found = lib.bpf_object__find_map_by_name(handle, name.encode())
                if found and self._has_sizes_of(fd, found):
                    _check(lib.bpf_map__reuse_fd(found, fd), f"take over map {name}")
                    reused.add(name)
            for name, size in sizes.items():
                if name not in reused:
                    found = lib.bpf_object__find_map_by_name(handle, name.encode())
                    _check(lib.bpf_map__set_max_entries(found, size), f"size of map {name}")
            _check(lib.bpf_object__load(handle), f"load {path.name}")
            found_programs = {name: self._program_fd(handle, name) for name in programs}
            found_maps = {
                name: _check(lib.bpf_object__find_map_fd_by_name(handle, name.encode()), name)
                for name in maps
            }
            # The object closes its own descriptors; ours are copies.
            return Loaded(
                {name: os.dup(fd) for name, fd in found_programs.items()},
                {name: os.dup(fd) for name, fd in found_maps.items()},
                frozenset(reused),
            )
        finally:
            lib.bpf_object__close(handle)

    def _program_fd(self, handle: int, name: str) -> int:
        program = self._lib.bpf_object__find_program_by_name(handle, name.encode())
        if not program:
            raise OSError(errno.ENOENT, os.strerror(errno.ENOENT), name)
        return _check(self._lib.bpf_program__fd(program), name)

    def attach_ingress(self, ifindex: int, program_fd: int) -> None:
        """Put a program on the ingress of an interface, in place of the one that was there."""
        hook = _TcHook(ctypes.sizeof(_TcHook), ifindex, _TC_INGRESS, 0)
        made = self._lib.bpf_tc_hook_create(ctypes.byref(hook))
        if made not in (0, -errno.EEXIST):
            _check(made, f"clsact on interface {ifindex}")
        opts = _TcOpts(ctypes.sizeof(_TcOpts), program_fd, _TC_REPLACE, 0, _HANDLE, _PRIORITY)
        _check(
            self._lib.bpf_tc_attach(ctypes.byref(hook), ctypes.byref(opts)), f"program on interface {ifindex}"
        )

    def detach_ingress(self, ifindex: int) -> None:
        """Take our program off an interface; no error if there is none."""
        hook = _TcHook(ctypes.sizeof(_TcHook), ifindex, _TC_INGRESS, 0)
        opts = _TcOpts(ctypes.sizeof(_TcOpts), 0, 0, 0, _HANDLE, _PRIORITY)
        gone = self._lib.bpf_tc_detach(ctypes.byref(hook), ctypes.byref(opts))
        if gone not in (0, -errno.ENOENT, -errno.ENODEV, -errno.EINVAL):
            _check(gone, f"program off interface {ifindex}")

    def maps_behind(self, ifindex: int) -> dict[str, int]:
        """The maps (name -> new fd) of the program on an interface's ingress; empty if there is none."""
        hook = _TcHook(ctypes.sizeof(_TcHook), ifindex, _TC_INGRESS, 0)
        opts = _TcOpts(ctypes.sizeof(_TcOpts), 0, 0, 0, _HANDLE, _PRIORITY)
        code = self._lib.bpf_tc_query(ctypes.byref(hook), ctypes.byref(opts))
        if code:
            if code not in _NO_PROGRAM:
                _check(code, f"program of interface {ifindex}")
            return {}
        program = _check(self._lib.bpf_prog_get_fd_by_id(opts.prog_id), "program by its id")
        found: dict[str, int] = {}
        try:
            ids = (ctypes.c_uint32 * 64)()
            info = _ProgInfo(nr_map_ids=len(ids), map_ids=ctypes.addressof(ids))
            self._info(program, info)
            for i in range(min(info.nr_map_ids, len(ids))):
                fd = _check(self._lib.bpf_map_get_fd_by_id(ids[i]), "map by its id")
                found[f"#{i}"] = fd  # has an owner should its name not be told
                found[self._map_name(fd)] = found.pop(f"#{i}")
        except OSError:
            for fd in found.values():
                os.close(fd)
            raise
        finally:
            os.close(program)
        return found

    def _has_sizes_of(self, fd: int, declared: int) -> bool:
        """Whether a map's keys and values are as large as those that the object declares."""
        info = _MapInfo()
        self._info(fd, info)
        sizes = (self._lib.bpf_map__key_size(declared), self._lib.bpf_map__value_size(declared))
        return (info.key_size, info.value_size) == sizes

    def _map_name(self, fd: int) -> str:
        info = _MapInfo()
        self._info(fd, info)
        return bytes(info.name).decode()

    def _info(self, fd: int, info: ctypes.Structure) -> None:
        length = ctypes.c_uint32(ctypes.sizeof(info))
        _check(self._lib.bpf_obj_get_info_by_fd(fd, ctypes.byref(info), ctypes.byref(length)), "object info")

    def update(self, fd: int, key: bytes, value: bytes) -> None:
        """Write one entry."""
        _check(self._lib.bpf_map_update_elem(fd, key, value, _ANY), "map update")

    def insert(self, fd: int, key: bytes, value: bytes) -> bool:
        """Write one entry if there is none; whether it was written."""
        code = self._lib.bpf_map_update_elem(fd, key, value, _NOEXIST)
        if code == -errno.EEXIST:
            return False
        _check(code, "map insert")
        return True

    def update_batch(self, fd: int, keys: bytes, values: bytes, count: int) -> None:
        """Write ``count`` entries in one call."""
        done = ctypes.c_uint32(count)
        _check(
            self._lib.bpf_map_update_batch(fd, keys, values, ctypes.byref(done), None),
            "map update of a batch",
        )

    def lookup(self, fd: int, key: bytes, size: int) -> bytes | None:
        """One value of ``size`` bytes, or None."""
        value = ctypes.create_string_buffer(size)
        code = self._lib.bpf_map_lookup_elem(fd, key, value)
        if code == -errno.ENOENT:
            return None
        _check(code, "map lookup")
        return value.raw

    def delete(self, fd: int, key: bytes) -> bool:
        """Remove one entry; whether it was there."""
        code = self._lib.bpf_map_delete_elem(fd, key)
        if code == -errno.ENOENT:
            return False
        _check(code, "map delete")
        return True

    def chunks(
        self, fd: int, key_size: int, value_size: int, chunk: int
    ) -> Iterator[list[tuple[bytes, bytes]]]:
        """Every entry of a hash map, about ``chunk`` at a time; concurrent changes may be missed."""
        keys = ctypes.create_string_buffer(key_size * chunk)
        values = ctypes.create_string_buffer(value_size * chunk)
        cursor = ctypes.create_string_buffer(max(key_size, 8))
        start = None
        while True:
            count = ctypes.c_uint32(chunk)
            code = self._lib.bpf_map_lookup_batch(fd, start, cursor, keys, values, ctypes.byref(count), None)
            start = cursor
            if code not in (0, -errno.ENOENT):
                _check(code, "map lookup of a batch")
            raw_keys, raw_values = keys.raw, values.raw
            yield [
                (
                    raw_keys[i * key_size : (i + 1) * key_size],
                    raw_values[i * value_size : (i + 1) * value_size],
                )
                for i in range(count.value)
            ]
            if code == -errno.ENOENT:
                return

    def entries(
        self, fd: int, key_size: int, value_size: int, chunk: int = 4096
    ) -> list[tuple[bytes, bytes]]:
        """All of them at once."""
        return [row for rows in self.chunks(fd, key_size, value_size, chunk) for row in rows]


def _check(code: int, what: str) -> int:
    if code < 0:
        number = -code if code >= -_LAST_ERRNO else ctypes.get_errno()
        raise OSError(number, f"{what}: {os.strerror(number)}")
    return int(code)
