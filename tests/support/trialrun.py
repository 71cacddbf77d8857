"""The flow cache's programs on one frame at a time, without any interface: BPF_PROG_TEST_RUN."""

from __future__ import annotations

import ctypes
import os
import shutil
import struct
import subprocess
from pathlib import Path
from typing import NamedTuple

import pytest

from labctl.linux.libbpf import LibBpf
from labctl.overlay.datapath import cache as cache_module
from labctl.overlay.datapath.cache import FlowCache
from labctl.overlay.datapath.layout import DatapathSettings, PortRecord

BUILD = Path(cache_module.__file__).with_name("build")
LOOPBACK = 1  # the interface that a trial's frame seems to come from
PORT = 101  # its key
SHOT, REDIRECT = 2, 7
_GSO_AT, _MARK_AT, _CONTEXT = 176, 8, 192  # in struct __sk_buff


class _Options(ctypes.Structure):
    """struct bpf_test_run_opts of libbpf."""

    _fields_ = (
        ("sz", ctypes.c_size_t),
        ("data_in", ctypes.c_void_p),
        ("data_out", ctypes.c_void_p),
        ("data_size_in", ctypes.c_uint32),
        ("data_size_out", ctypes.c_uint32),
        ("ctx_in", ctypes.c_void_p),
        ("ctx_out", ctypes.c_void_p),
        ("ctx_size_in", ctypes.c_uint32),
        ("ctx_size_out", ctypes.c_uint32),
        ("retval", ctypes.c_uint32),
        ("repeat", ctypes.c_int),
        ("duration", ctypes.c_uint32),
        ("flags", ctypes.c_uint32),
        ("cpu", ctypes.c_uint32),
        ("batch_size", ctypes.c_uint32),
    )


class Outcome(NamedTuple):
    """What a program said, and the frame and the mark that it left."""

    verdict: int
    frame: bytes
    mark: int


def built(folder: Path) -> Path:
    """The object, compiled from the source as it is now; skips where that cannot be done."""
    if os.geteuid() != 0:
        pytest.skip("programs are loaded by root")
    if shutil.which("clang") is None:
        pytest.skip("clang is not here")
    target = folder / "flowcache.bpf.o"
    subprocess.run(["sh", str(BUILD), str(target)], check=True)
    return target


class Trial:
    """A cache that stands on no interface."""

    def __init__(self, target: Path, flows: int = 4096) -> None:
        self.bpf = LibBpf()
        self.loaded = self.bpf.load(
            target, cache_module._PROGRAMS, cache_module._MAPS, {}, {"lc_flows": flows}
        )
        self.cache = FlowCache(self.bpf, self.loaded, DatapathSettings(LOOPBACK, LOOPBACK), adopted=False)
        self.cache._settle(DatapathSettings(LOOPBACK, LOOPBACK))
        self.bind(PortRecord(PORT, 1_000_000_000, 1_000_000))

    def bind(self, record: PortRecord) -> None:
        self.bpf.update(self.loaded.maps["lc_ports"], struct.pack("=I", LOOPBACK), record.pack())

    def run(
        self, frame: bytes, program: str = "from_port", *, gso: int = 0, mark: int = 0, repeat: int = 1
    ) -> Outcome:
        context = bytearray(_CONTEXT)
        struct.pack_into("=I", context, _GSO_AT, gso)
        struct.pack_into("=I", context, _MARK_AT, mark)
        given = ctypes.create_string_buffer(bytes(context), _CONTEXT)
        left = ctypes.create_string_buffer(_CONTEXT)
        data, out = (
            ctypes.create_string_buffer(frame, len(frame)),
            ctypes.create_string_buffer(len(frame) + 64),
        )
        options = _Options(
            sz=ctypes.sizeof(_Options),
            data_in=ctypes.addressof(data), data_out=ctypes.addressof(out),
            data_size_in=len(frame), data_size_out=len(out),
            ctx_in=ctypes.addressof(given), ctx_out=ctypes.addressof(left),
            ctx_size_in=_CONTEXT, ctx_size_out=_CONTEXT,
            repeat=repeat,
        )  # fmt: skip
        code = self.bpf._lib.bpf_prog_test_run_opts(self.loaded.programs[program], ctypes.byref(options))
        if code:
            raise OSError(-code, os.strerror(-code))
        mark = struct.unpack_from("=I", left.raw, _MARK_AT)[0]
        return Outcome(options.retval, out.raw[: options.data_size_out], mark)

    def close(self) -> None:
        self.cache.close()
