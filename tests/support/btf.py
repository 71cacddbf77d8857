"""Structures as a compiled BPF object tells of them: its BTF, read by libbpf, which the agent needs anyway.

See the kernel's Documentation/bpf/btf.rst for the format.
"""

from __future__ import annotations

import ctypes
import os
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["Structure", "structure"]

_STRUCT = 4
_BITS_OF_OFFSET = 0xFFFFFF


class _Type(ctypes.Structure):
    _fields_ = (("name", ctypes.c_uint32), ("info", ctypes.c_uint32), ("size", ctypes.c_uint32))


class _Member(ctypes.Structure):
    _fields_ = (("name", ctypes.c_uint32), ("type", ctypes.c_uint32), ("offset", ctypes.c_uint32))


@dataclass(frozen=True)
class Structure:
    """A C structure.

    Attributes:
        size: bytes.
        offsets: of each member, bytes from the beginning.
    """

    size: int
    offsets: dict[str, int]


def structure(target: Path, name: str) -> Structure:
    """The structure of that name in a compiled object; KeyError if it has none."""
    lib = ctypes.CDLL("libbpf.so.1", use_errno=True)
    lib.btf__parse.restype = ctypes.c_void_p
    lib.btf__parse.argtypes = (ctypes.c_char_p, ctypes.c_void_p)
    lib.btf__find_by_name_kind.argtypes = (ctypes.c_void_p, ctypes.c_char_p, ctypes.c_uint32)
    lib.btf__type_by_id.restype = ctypes.POINTER(_Type)
    lib.btf__type_by_id.argtypes = (ctypes.c_void_p, ctypes.c_uint32)
    lib.btf__name_by_offset.restype = ctypes.c_char_p
    lib.btf__name_by_offset.argtypes = (ctypes.c_void_p, ctypes.c_uint32)
    lib.btf__free.argtypes = (ctypes.c_void_p,)
    btf = lib.btf__parse(os.fsencode(target), None)
    if not btf:
        raise OSError(ctypes.get_errno(), "no BTF", str(target))
    try:
        number = lib.btf__find_by_name_kind(btf, name.encode(), _STRUCT)
        if number <= 0:
            raise KeyError(name)
        found = lib.btf__type_by_id(btf, number)
        head = found.contents
        behind = ctypes.addressof(head) + ctypes.sizeof(_Type)
        members = (_Member * (head.info & 0xFFFF)).from_address(behind)
        offsets = {
            lib.btf__name_by_offset(btf, one.name).decode(): (one.offset & _BITS_OF_OFFSET) // 8
            for one in members
        }
        return Structure(head.size, offsets)
    finally:
        lib.btf__free(btf)
