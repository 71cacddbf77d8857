"""The flow cache of one host: entries in the kernel, written and read by the agent.

A cache belongs to the VXLAN device of a host. Its maps live as long as a program of the cache is attached to
an interface, so existing flows continue while there is no agent. The next agent takes the maps over and
replaces the old programs one after the other, without a gap.
"""

from __future__ import annotations

import errno
import os
import struct
from dataclasses import replace
from typing import TYPE_CHECKING

from labctl.linux.libbpf import LibBpf, Loaded
from labctl.overlay.datapath.layout import (
    ALL_TUNNELS,
    CONN_KEY_SIZE,
    FLOW_KEY_SIZE,
    INDICES,
    INSIDE_KEY_SIZE,
    MEGAFLOW_SIZE,
    SOURCE_KEY_SIZE,
    Counter,
    DatapathSettings,
    FlowEntry,
    PortRecord,
    inside_key,
    inside_prefix,
)
from labctl.overlay.flow import FROM_TUNNEL

if TYPE_CHECKING:
    import ipaddress
    from collections.abc import Iterable, Iterator, Sequence
    from collections.abc import Set as AbstractSet
    from pathlib import Path

__all__ = ["MOST_FLOWS", "FlowCache"]

MOST_FLOWS = 131072

_WORD = struct.Struct("=I")
_LONG = struct.Struct("=Q")
_QUOTA = struct.Struct("=QQ")

_PROGRAMS = ("from_port", "from_uplink", "from_tunnel", "from_agent")
_MAPS = (
    "lc_flows", "lc_fixed", "lc_ports", "lc_settings", "lc_counters", "lc_conns", "lc_inside", "lc_sources",
    "lc_megaflows", "lc_active", "lc_quotas", "lc_ceilings",
)  # fmt: skip


class FlowCache:
    """One object, loaded once; attached by file descriptor."""

    def __init__(self, bpf: LibBpf, loaded: Loaded, settings: DatapathSettings, *, adopted: bool) -> None:
        """Use :meth:`open`."""
        self._bpf = bpf
        self._loaded = loaded
        self._settings = settings
        self.adopted = adopted
        """Whether the maps, with their entries, are those of an earlier agent."""

    @classmethod
    def open(
        cls,
        built: Path,
        *,
        vxlan: int,
        upcall: int,
        tunnel_rate_limit: PortRecord,
        local: Sequence[str] = (),
        flows: int = MOST_FLOWS,
    ) -> FlowCache:
        """Load the programs and stand on the VXLAN device and the agent's veth.

        Args:
            built: the compiled object.
            vxlan: ifindex of the collect-metadata VXLAN device.
            upcall: ifindex of the near end of the agent's veth pair.
            tunnel_rate_limit: upcalls that all tunnels together may cause.
            local: this host's underlay addresses, that tunnels are sent from.
            flows: most entries; then the one that was not used for longest goes. About 190 bytes of
                kernel memory each, taken at once. An earlier agent's entries keep their number.

        Raises:
            HostError: libbpf is missing.
            OSError: the kernel refused.
        """
        bpf = LibBpf()
        old = {name: fd for name, fd in bpf.maps_behind(vxlan).items() if name in _MAPS}
        try:
            loaded = bpf.load(built, _PROGRAMS, _MAPS, old, {"lc_flows": flows, "lc_conns": flows})
        finally:
            for fd in old.values():
                os.close(fd)
        before = bpf.lookup(loaded.maps["lc_settings"], bytes(4), DatapathSettings.SIZE)
        checked = before is not None and DatapathSettings.is_checked(before)
        settings = DatapathSettings(upcall, vxlan, tuple(local), checked)
        cache = cls(bpf, loaded, settings, adopted="lc_flows" in loaded.reused)
        try:
            cache._settle(settings)
            bpf.update(loaded.maps["lc_ports"], struct.pack("=I", ALL_TUNNELS), tunnel_rate_limit.pack())
            bpf.attach_ingress(upcall, loaded.programs["from_agent"])
            bpf.attach_ingress(vxlan, loaded.programs["from_tunnel"])
        except OSError:
            cache.close()
            raise
        return cache

    def close(self) -> None:
        """Release the cache; programs attached to interfaces continue."""
        for fd in (*self._loaded.programs.values(), *self._loaded.maps.values()):
            os.close(fd)

    def _settle(self, settings: DatapathSettings) -> None:
        self._settings = settings
        self._bpf.update(self._loaded.maps["lc_settings"], bytes(4), settings.pack())

    def take_tunnels_from(self, hosts: Iterable[bytes], *, only: bool = True) -> None:
        """Take tunnels from these underlay addresses alone (16 bytes each, IPv4 mapped).

        Until this was called once, by this agent or one before it, they are taken from anybody.

        Args:
            hosts: their addresses.
            only: forget those of an earlier call; else these come besides.
        """
        fd, wanted = self._loaded.maps["lc_sources"], set(hosts)
        known = {key for key, _ in self._bpf.entries(fd, SOURCE_KEY_SIZE, 4)}
        for key in wanted - known:
            self._bpf.update(fd, key, bytes(4))
        if not self._settings.checked:
            self._settle(replace(self._settings, checked=True))
        for key in known - wanted if only else ():
            self._bpf.delete(fd, key)

    def guard(self, ifindex: int) -> None:
        """Stand on an interface that is no port yet: what comes in is thrown away until it is bound."""
        self._bpf.attach_ingress(ifindex, self._loaded.programs["from_port"])

    def bind(self, ifindex: int, record: PortRecord, *, uplink: bool = False) -> None:
        """Accept packets of an interface into the overlay, as those of a port."""
        ports = self._loaded.maps["lc_ports"]
        # What tunnels bring to this port is limited apart from what they bring to others.
        self._bpf.update(ports, struct.pack("=I", FROM_TUNNEL | record.key), record.pack())
        self._bpf.update(ports, struct.pack("=I", ifindex), record.pack())
        self._bpf.attach_ingress(ifindex, self._loaded.programs["from_uplink" if uplink else "from_port"])

    def unbind(self, ifindex: int) -> None:
        """Drop what the interface sends from now on."""
        ports, key = self._loaded.maps["lc_ports"], struct.pack("=I", ifindex)
        raw = self._bpf.lookup(ports, key, PortRecord.SIZE)
        if raw is not None:
            self._bpf.delete(ports, key)
            self._bpf.delete(ports, struct.pack("=I", FROM_TUNNEL | PortRecord.unpack(raw).key))

    def bound(self) -> dict[int, PortRecord]:
        """Interfaces that packets are taken from, with how many of their upcalls were refused."""
        rows = self._bpf.entries(self._loaded.maps["lc_ports"], 4, PortRecord.SIZE)
        found = {struct.unpack("=I", key)[0]: PortRecord.unpack(value) for key, value in rows}
        return {index: record for index, record in found.items() if ALL_TUNNELS < index < FROM_TUNNEL}

    def write(self, rows: Sequence[tuple[bytes, FlowEntry]], *, fixed: bool = False) -> None:
        """Write entries, over those of the same keys; ``fixed`` ones are never evicted."""
        fd = self._loaded.maps["lc_fixed" if fixed else "lc_flows"]
        if len(rows) == 1:
            self._bpf.update(fd, rows[0][0], rows[0][1].pack())
        elif rows:
            keys = b"".join(key for key, _ in rows)
            self._bpf.update_batch(fd, keys, b"".join(entry.pack() for _, entry in rows), len(rows))

    def put(self, rows: Sequence[tuple[bytes, bytes]]) -> None:
        """Write evictable entries that are packed already, over those of the same keys."""
        fd = self._loaded.maps["lc_flows"]
        if len(rows) == 1:
            self._bpf.update(fd, *rows[0])
        elif rows:
            keys, values = b"".join([key for key, _ in rows]), b"".join([value for _, value in rows])
            self._bpf.update_batch(fd, keys, values, len(rows))

    def restore(self, key: bytes, value: bytes) -> bool:
        """Write a packed entry if it is no more there; whether it was not.

        The least used are evicted, and one that the kernel made by itself is not the agent's.
        """
        fd = self._loaded.maps["lc_flows"]
        if self._bpf.insert(fd, key, value):
            return True
        there = self._bpf.lookup(fd, key, FlowEntry.SIZE)
        if there is not None and not FlowEntry.unpack(there).generation:
            return False
        self._bpf.update(fd, key, value)
        return True

    def remove(self, keys: Iterable[bytes], *, fixed: bool = False) -> int:
        """Delete entries; how many were there."""
        fd = self._loaded.maps["lc_fixed" if fixed else "lc_flows"]
        return sum(self._bpf.delete(fd, key) for key in keys)

    def entries(self, *, fixed: bool = False) -> list[tuple[bytes, FlowEntry]]:
        """Every entry with its counters."""
        fd = self._loaded.maps["lc_fixed" if fixed else "lc_flows"]
        return [
            (key, FlowEntry.unpack(value))
            for key, value in self._bpf.entries(fd, FLOW_KEY_SIZE, FlowEntry.SIZE)
        ]

    def scan(self, chunk: int) -> Iterator[list[tuple[bytes, FlowEntry]]]:
        """Every evictable entry, a chunk at a time, over as long as the caller takes."""
        fd = self._loaded.maps["lc_flows"]
        for rows in self._bpf.chunks(fd, FLOW_KEY_SIZE, FlowEntry.SIZE, chunk):
            yield [(key, FlowEntry.unpack(value)) for key, value in rows]

    def entry(self, key: bytes, *, fixed: bool = False) -> FlowEntry | None:
        """One entry, or None."""
        raw = self._bpf.lookup(self._loaded.maps["lc_fixed" if fixed else "lc_flows"], key, FlowEntry.SIZE)
        return None if raw is None else FlowEntry.unpack(raw)

    def remember_connections(self, rows: Sequence[tuple[bytes, int]]) -> None:
        """Let connections (packed key, time last seen in ns) be known; some are not where the map is full."""
        if rows:
            keys = b"".join(key for key, _ in rows)
            values = b"".join(struct.pack("=Q", seen) for _, seen in rows)
            try:
                self._bpf.update_batch(self._loaded.maps["lc_conns"], keys, values, len(rows))
            except OSError as error:
                if error.errno not in (errno.E2BIG, errno.ENOSPC):
                    raise

    def connection_quotas(self) -> dict[int, tuple[int, int]]:
        """By key of a port: connections that the kernel opened so far, and refused."""
        rows = self._bpf.entries(self._loaded.maps["lc_quotas"], 4, _QUOTA.size)
        return {_WORD.unpack(key)[0]: _QUOTA.unpack(value) for key, value in rows}

    def connections_opened(self, port: int) -> int:
        """How many the kernel opened for a port so far."""
        raw = self._bpf.lookup(self._loaded.maps["lc_quotas"], _WORD.pack(port), _QUOTA.size)
        return _QUOTA.unpack(raw)[0] if raw is not None else 0

    def limit_connections(self, port: int, ceiling: int) -> None:
        """Let the kernel open connections for a port until it has opened ``ceiling``, all in all."""
        key = _WORD.pack(port)
        self._bpf.update(self._loaded.maps["lc_ceilings"], key, _LONG.pack(max(0, ceiling)))
        self._bpf.insert(self._loaded.maps["lc_quotas"], key, bytes(_QUOTA.size))

    def forget_quota(self, port: int) -> None:
        """The port is none of this host's any more; what was counted for it is gone."""
        for name in ("lc_ceilings", "lc_quotas"):
            self._bpf.delete(self._loaded.maps[name], _WORD.pack(port))

    def forget_connections(self, keys: Iterable[bytes]) -> None:
        """The reverse."""
        for key in keys:
            self._bpf.delete(self._loaded.maps["lc_conns"], key)

    def knows(self, conn: bytes) -> bool:
        """Whether a connection (packed key) is known."""
        return self._bpf.lookup(self._loaded.maps["lc_conns"], conn, 8) is not None

    def connections(self, chunk: int = 4096) -> Iterator[list[tuple[bytes, int]]]:
        """All that are known, a chunk at a time: packed key, time last seen in ns."""
        for rows in self._bpf.chunks(self._loaded.maps["lc_conns"], CONN_KEY_SIZE, 8, chunk):
            yield [(key, _LONG.unpack(value)[0]) for key, value in rows]

    def write_megaflow(self, key: bytes, variants: Sequence[bytes]) -> None:
        """Let the kernel use decisions again, in place of those under the same key; none: no more."""
        fd = self._loaded.maps["lc_megaflows"]
        if variants:
            self._bpf.update(fd, key, b"".join(variants).ljust(MEGAFLOW_SIZE, b"\0"))
        else:
            self._bpf.delete(fd, key)

    def megaflows(self) -> list[bytes]:
        """The keys of all megaflows that the kernel uses."""
        return [
            key
            for key, _ in self._bpf.entries(
                self._loaded.maps["lc_megaflows"], FLOW_KEY_SIZE, MEGAFLOW_SIZE, 256
            )
        ]

    def active(self) -> list[int]:
        """The valid generation at each index; 0 where there never was one."""
        rows = self._bpf.entries(self._loaded.maps["lc_active"], 4, 4)
        return [
            struct.unpack("=I", value)[0] for _, value in sorted(rows, key=lambda row: _WORD.unpack(row[0]))
        ]

    def activate(self, generations: Sequence[int]) -> None:
        """Make generations the valid ones at their indices: entries with any other die at once."""
        fd = self._loaded.maps["lc_active"]
        for generation in generations:
            self._bpf.update(fd, _WORD.pack(generation % INDICES), _WORD.pack(generation))

    def made_by(self, generations: AbstractSet[int]) -> list[bytes]:
        """Packed keys of the entries that the kernel made from these megaflows."""
        chunks = self._bpf.chunks(self._loaded.maps["lc_flows"], FLOW_KEY_SIZE, FlowEntry.SIZE, 4096)
        return [
            key for rows in chunks for key, value in rows if FlowEntry.generation_of(value) in generations
        ]

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
