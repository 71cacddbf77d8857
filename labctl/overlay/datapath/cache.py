"""The flow cache of one host: entries in the kernel, written and read by the agent.

A cache belongs to the VXLAN device of a host. Its maps live as long as a program of ours is on an
interface, so existing flows go on while there is no agent; the next agent takes the maps over and
puts fresh programs in the place of the old ones, one after the other, without a gap.
"""

from __future__ import annotations

import os
import struct
from typing import TYPE_CHECKING

from labctl.overlay.datapath.layout import (
    CONN_KEY_SIZE,
    FLOW_KEY_SIZE,
    INSIDE_KEY_SIZE,
    Counter,
    Entry,
    PortRecord,
    inside_key,
    inside_prefix,
)
from labctl.overlay.datapath.libbpf import LibBpf, Loaded

if TYPE_CHECKING:
    import ipaddress
    from collections.abc import Iterable, Iterator, Sequence
    from pathlib import Path

__all__ = ["FlowCache"]

_PROGRAMS = ("from_port", "from_uplink", "from_tunnel", "from_agent")
_MAPS = ("lc_flows", "lc_fixed", "lc_ports", "lc_settings", "lc_counters", "lc_conns", "lc_inside")
_SETTINGS = struct.Struct("=IIII")
_TUNNEL_RATION = 0  # in lc_ports: the ration of what comes by tunnel; no interface has this index


class FlowCache:
    """One object, loaded once; attached by file descriptor."""

    def __init__(self, bpf: LibBpf, loaded: Loaded, *, adopted: bool) -> None:
        """Use :meth:`open`."""
        self._bpf = bpf
        self._loaded = loaded
        self.adopted = adopted
        """Whether the maps, with their entries, are those of an earlier agent."""

    @classmethod
    def open(cls, built: Path, *, vxlan: int, upcall: int, tunnel_ration: PortRecord) -> FlowCache:
        """Load the programs and stand on the VXLAN device and the agent's veth.

        Args:
            built: the compiled object.
            vxlan: ifindex of the collect-metadata VXLAN device.
            upcall: ifindex of the near end of the agent's veth pair.
            tunnel_ration: upcalls that all tunnels together may cause.

        Raises:
            HostError: libbpf is missing.
            OSError: the kernel refused.
        """
        bpf = LibBpf()
        old = {name: fd for name, fd in bpf.maps_behind(vxlan).items() if name in _MAPS}
        try:
            loaded = bpf.load(built, _PROGRAMS, _MAPS, old)
        finally:
            for fd in old.values():
                os.close(fd)
        cache = cls(bpf, loaded, adopted=bool(old))
        bpf.update(loaded.maps["lc_settings"], bytes(4), _SETTINGS.pack(upcall, vxlan, 0, 0))
        bpf.update(loaded.maps["lc_ports"], struct.pack("=I", _TUNNEL_RATION), tunnel_ration.pack())
        bpf.attach_ingress(upcall, loaded.programs["from_agent"])
        bpf.attach_ingress(vxlan, loaded.programs["from_tunnel"])
        return cache

    def guard(self, ifindex: int) -> None:
        """Stand on an interface that is no port yet: what comes in is thrown away until it is bound."""
        self._bpf.attach_ingress(ifindex, self._loaded.programs["from_port"])

    def bind(self, ifindex: int, record: PortRecord, *, uplink: bool = False) -> None:
        """Let packets of an interface into the overlay, as those of a port."""
        self._bpf.update(self._loaded.maps["lc_ports"], struct.pack("=I", ifindex), record.pack())
        self._bpf.attach_ingress(ifindex, self._loaded.programs["from_uplink" if uplink else "from_port"])

    def unbind(self, ifindex: int) -> None:
        """Throw away what the interface sends from now on."""
        self._bpf.delete(self._loaded.maps["lc_ports"], struct.pack("=I", ifindex))

    def bound(self) -> dict[int, PortRecord]:
        """Interfaces that packets are taken from, with how often they were rationed."""
        rows = self._bpf.entries(self._loaded.maps["lc_ports"], 4, PortRecord.SIZE)
        found = {struct.unpack("=I", key)[0]: PortRecord.unpack(value) for key, value in rows}
        return {ifindex: record for ifindex, record in found.items() if ifindex != _TUNNEL_RATION}

    def write(self, rows: Sequence[tuple[bytes, Entry]], *, fixed: bool = False) -> None:
        """Write entries, over those of the same keys; ``fixed`` ones are never evicted."""
        fd = self._loaded.maps["lc_fixed" if fixed else "lc_flows"]
        if len(rows) == 1:
            self._bpf.update(fd, rows[0][0], rows[0][1].pack())
        elif rows:
            keys = b"".join(key for key, _ in rows)
            self._bpf.update_batch(fd, keys, b"".join(entry.pack() for _, entry in rows), len(rows))

    def remove(self, keys: Iterable[bytes], *, fixed: bool = False) -> int:
        """Delete entries; how many were there."""
        fd = self._loaded.maps["lc_fixed" if fixed else "lc_flows"]
        return sum(self._bpf.delete(fd, key) for key in keys)

    def entries(self, *, fixed: bool = False) -> list[tuple[bytes, Entry]]:
        """Every entry with its counters."""
        fd = self._loaded.maps["lc_fixed" if fixed else "lc_flows"]
        return [(key, Entry.unpack(value)) for key, value in self._bpf.entries(fd, FLOW_KEY_SIZE, Entry.SIZE)]

    def scan(self, chunk: int) -> Iterator[list[tuple[bytes, Entry]]]:
        """Every evictable entry, a chunk at a time, over as long as the caller takes."""
        fd = self._loaded.maps["lc_flows"]
        for rows in self._bpf.chunks(fd, FLOW_KEY_SIZE, Entry.SIZE, chunk):
            yield [(key, Entry.unpack(value)) for key, value in rows]

    def entry(self, key: bytes, *, fixed: bool = False) -> Entry | None:
        """One entry, or None."""
        raw = self._bpf.lookup(self._loaded.maps["lc_fixed" if fixed else "lc_flows"], key, Entry.SIZE)
        return None if raw is None else Entry.unpack(raw)

    def remember_connections(self, rows: Sequence[tuple[bytes, int]]) -> None:
        """Keep connections (packed key, time last seen in ns) for the next agent as well."""
        if rows:
            keys = b"".join(key for key, _ in rows)
            values = b"".join(struct.pack("=Q", seen) for _, seen in rows)
            self._bpf.update_batch(self._loaded.maps["lc_conns"], keys, values, len(rows))

    def forget_connections(self, keys: Iterable[bytes]) -> None:
        """The reverse."""
        for key in keys:
            self._bpf.delete(self._loaded.maps["lc_conns"], key)

    def connections(self) -> dict[bytes, int]:
        """What was remembered: packed key -> time last seen in ns."""
        rows = self._bpf.entries(self._loaded.maps["lc_conns"], CONN_KEY_SIZE, 8)
        return {key: struct.unpack("=Q", value)[0] for key, value in rows}

    def set_inside(self, prefixes: Iterable[ipaddress.IPv4Network | ipaddress.IPv6Network]) -> None:
        """Add prefixes that nothing from outside may claim as its source."""
        for prefix in prefixes:
            self._bpf.update(self._loaded.maps["lc_inside"], inside_key(prefix), struct.pack("=I", 1))

    def unset_inside(self, prefixes: Iterable[ipaddress.IPv4Network | ipaddress.IPv6Network]) -> None:
        """Remove them again."""
        for prefix in prefixes:
            self._bpf.delete(self._loaded.maps["lc_inside"], inside_key(prefix))

    def inside(self) -> frozenset[ipaddress.IPv4Network | ipaddress.IPv6Network]:
        """The prefixes that are there."""
        rows = self._bpf.entries(self._loaded.maps["lc_inside"], INSIDE_KEY_SIZE, 4)
        return frozenset(inside_prefix(key) for key, _ in rows)

    def counters(self) -> dict[str, int]:
        """What the programs counted since the maps were made, summed over CPUs, by name."""
        cpus = _possible_cpus()
        total: dict[str, int] = {}
        for counter in Counter:
            raw = self._bpf.lookup(self._loaded.maps["lc_counters"], struct.pack("=I", counter), 8 * cpus)
            total[counter.name.lower()] = sum(struct.unpack(f"={cpus}Q", raw)) if raw else 0
        return total


def _possible_cpus() -> int:
    """How many values a per-CPU map has: one for each CPU that could ever be there."""
    with open("/sys/devices/system/cpu/possible", encoding="ascii") as file:  # noqa: PTH123 - a kernel file
        ranges = file.read().strip().split(",")
    return 1 + max(int(part.rpartition("-")[2]) for part in ranges)
