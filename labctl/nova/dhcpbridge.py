"""What dnsmasq runs when it starts and at every lease: nova-dhcpbridge, a Python of its own each time.

``nova-dhcpbridge init`` prints the leases of a network from the database, and dnsmasq waits for it. What it
costs is what it does: it starts Python, imports the libraries that nova's program imported, reads the flag
file and queries the database. The modules of nova itself are not there, so that the cost is a lower bound.
Environment: ``FLAGFILE``, ``NETWORK_ID``. Event: ``dhcpbridge`` (``ns`` since the process was started,
``imports_ns``, ``network_id``, ``leases``).
"""

from __future__ import annotations

import os
import sys
import time
import warnings
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

from labctl.errors import LabctlError
from labctl.nova.eventlog import EventLog, now_ns

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["LIBRARIES", "DhcpbridgeError", "age_ns", "main"]

LIBRARIES = (
    "oslo_config.cfg",
    "netaddr",
    "eventlet.event",
    "eventlet.greenpool",
    "eventlet.greenthread",
    "eventlet.semaphore",
    "eventlet.green.subprocess",
    "sqlalchemy.orm",
    "sqlalchemy.pool",
    "kombu.connection",
    "kombu.entity",
    "kombu.messaging",
)
"""What ``bin/nova-dhcpbridge`` of 2012.2.3 imports outside of nova and the standard library.

By way of nova.flags, nova.utils, nova.network.manager, nova.db and the kombu driver of nova's RPC. Folsom had
the first as a module of its own.
"""

_NETWORK = "SELECT id FROM networks WHERE deleted = 0 AND id = :id"
_LEASES = (
    "SELECT v.address, f.address, i.hostname FROM fixed_ips f"
    " JOIN virtual_interfaces v ON v.id = f.virtual_interface_id JOIN instances i ON i.id = f.instance_id"
    " WHERE f.deleted = 0 AND f.network_id = :id ORDER BY f.id"
)


class DhcpbridgeError(LabctlError):
    """The leases cannot be told."""


def main() -> int:
    """Answer dnsmasq; ``init`` prints one lease a line, all else is taken note of."""
    action = sys.argv[1] if len(sys.argv) > 1 else ""
    begin = now_ns()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # eventlet is old by now, and says so
        libraries = {name: import_module(name) for name in LIBRARIES}
    imports_ns = now_ns() - begin
    if action != "init":
        # add, old, del: nova sent a message to itself, so that the database learnt of the lease.
        return 0
    try:
        network_id = _network_id(os.environ)
        conf = _read_flags(libraries["oslo_config.cfg"], os.environ)
        lines = _leases(conf.sql_connection, network_id, conf.dhcp_lease_time)
    except LabctlError as error:
        print(f"nova-dhcpbridge: {error}", file=sys.stderr)  # noqa: T201 - dnsmasq's log
        return 1
    print("\n".join(lines), flush=True)  # noqa: T201 - what dnsmasq reads
    took = age_ns()
    with EventLog(Path(conf.labctl_events)) as log:
        log.tell(
            "dhcpbridge",
            t_ns=now_ns() - took,
            ns=took,
            imports_ns=imports_ns,
            network_id=network_id,
            leases=len(lines),
        )
    return 0


def age_ns() -> int:
    """Nanoseconds since this process was started, to a clock tick of the kernel (10 ms); see proc(5)."""
    # After the name in brackets, which may hold anything: field 22 of all, the start in ticks since boot.
    fields = Path("/proc/self/stat").read_text(encoding="utf-8").rpartition(")")[2].split()
    started = int(fields[19]) * 1_000_000_000 // os.sysconf("SC_CLK_TCK")
    return time.clock_gettime_ns(time.CLOCK_BOOTTIME) - started


def _network_id(environment: Mapping[str, str]) -> int:
    try:
        return int(environment["NETWORK_ID"])
    except (KeyError, ValueError) as error:
        raise DhcpbridgeError("environment variable NETWORK_ID must be set, to a number") from error


def _read_flags(cfg: Any, environment: Mapping[str, str]) -> Any:  # noqa: ANN401 - oslo.config is not typed
    conf = cfg.ConfigOpts()
    conf.register_opts(
        [
            cfg.StrOpt("sql_connection", required=True),
            cfg.IntOpt("dhcp_lease_time", default=120),
            cfg.StrOpt("labctl_events", required=True),
        ]
    )
    flag_file = environment.get("FLAGFILE", "/etc/nova/nova.conf")
    try:
        conf([], project="nova", default_config_files=[flag_file])
    except cfg.Error as error:
        raise DhcpbridgeError(f"{flag_file}: {error}") from error
    return conf


def _leases(connection: str, network_id: int, lease_s: int) -> list[str]:
    """Lines as dnsmasq's lease file has them: when it ends, MAC, address, name, client."""
    sqlalchemy = import_module("sqlalchemy")
    engine = sqlalchemy.create_engine(connection)
    try:
        with engine.connect() as database:
            known = database.execute(sqlalchemy.text(_NETWORK), {"id": network_id}).fetchall()
            rows = database.execute(sqlalchemy.text(_LEASES), {"id": network_id}).fetchall()
    except sqlalchemy.exc.SQLAlchemyError as error:
        raise DhcpbridgeError(f"database: {str(error).splitlines()[0]}") from error
    finally:
        engine.dispose()
    if not known:
        raise DhcpbridgeError(f"database: no network {network_id}")
    ends = int(time.time()) + lease_s
    return [f"{ends} {mac} {address} {hostname or '*'} *" for mac, address, hostname in rows]


if __name__ == "__main__":
    sys.exit(main())
