"""A dnsmasq for one network, with nova's flags."""

from __future__ import annotations

import ipaddress
from pathlib import Path
from typing import TYPE_CHECKING

from labctl.nova.settings import Dhcpbridge

if TYPE_CHECKING:
    from labctl.nova.database import NovaNetwork
    from labctl.nova.firewall import Firewall
    from labctl.nova.rootexec import Execute
    from labctl.nova.settings import NovaSettings

__all__ = ["dnsmasq_argv", "hosts_lines", "update_dhcp"]

LEASE_S = 120
DOMAIN = "novalocal"
FLAG_FILE = "/etc/nova/nova.conf"
SCRIPTS = {
    Dhcpbridge.SHELL: "/etc/nova/dhcpbridge",
    Dhcpbridge.PYTHON: "/etc/nova/nova-dhcpbridge",
}


def hosts_lines(network: NovaNetwork) -> tuple[str, ...]:
    """Lines of the hosts file: MAC, name, address of each virtual machine."""
    return tuple(f"{one.mac},{one.hostname}.{DOMAIN},{one.address}" for one in network.addresses)


def dnsmasq_argv(network: NovaNetwork, state: Path, dhcpbridge: Dhcpbridge) -> tuple[str, ...]:
    """The command line."""
    files = state / "networks" / f"nova-{network.bridge}"
    return (
        "dnsmasq",
        "--strict-order",
        "--bind-interfaces",
        "--conf-file=",
        f"--domain={DOMAIN}",
        f"--pid-file={files}.pid",
        f"--listen-address={network.gateway}",
        "--except-interface=lo",
        f"--dhcp-range=set:{network.label},{network.dhcp_start},static,{network.netmask},{LEASE_S}s",
        f"--dhcp-lease-max={ipaddress.ip_network(network.cidr).num_addresses}",
        f"--dhcp-hostsfile={files}.conf",
        f"--dhcp-script={SCRIPTS[dhcpbridge]}",
        "--leasefile-ro",
        # Of today's: these two files of the system are not the network's business.
        "--no-resolv",
        "--no-hosts",
    )


def update_dhcp(network: NovaNetwork, settings: NovaSettings, execute: Execute, firewall: Firewall) -> None:
    """Write the hosts file, start dnsmasq if it does not run, let DHCP and DNS in.

    Raises:
        CommandError: dnsmasq or iptables refused.
    """
    folder = settings.state / "networks"
    folder.mkdir(parents=True, exist_ok=True)
    stem = f"nova-{network.bridge}"
    (folder / f"{stem}.conf").write_text("\n".join(hosts_lines(network)) + "\n", encoding="utf-8")
    pid = _running(folder / f"{stem}.pid")
    if pid:
        execute("kill", "-HUP", str(pid))
    else:
        argv = dnsmasq_argv(network, settings.state, settings.dhcpbridge)
        execute("env", *_environment(network, settings.dhcpbridge), *argv)
    for port in (67, 53):
        for proto in ("udp", "tcp"):
            rule = f"-i {network.bridge} -p {proto} -m {proto} --dport {port} -j ACCEPT"
            firewall.tables["filter"].add("INPUT", rule)
    firewall.apply()


def _environment(network: NovaNetwork, dhcpbridge: Dhcpbridge) -> tuple[str, ...]:
    """Where the lease script reads whose leases it is asked for; the shell knows networks by their bridge."""
    if dhcpbridge is Dhcpbridge.SHELL:
        return (f"NETWORK_ID={network.bridge}",)
    return (f"FLAGFILE={FLAG_FILE}", f"NETWORK_ID={network.network_id}")


def _running(pid_file: Path) -> int:
    """Process id of the network's dnsmasq, 0 if it does not run."""
    try:
        pid = int(pid_file.read_text())
        command = Path(f"/proc/{pid}/cmdline").read_bytes()
    except (OSError, ValueError):
        return 0
    return pid if b"dnsmasq" in command else 0
