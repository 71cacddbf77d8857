"""Names of interfaces as a vendor writes them -> as they are called in the node's network namespace.

containerlab takes both since 0.56: ``ethernet-1/1`` of an SR Linux node is ``e1-1`` in Linux. The patterns
are those of ``nodes/*`` of containerlab 0.79.
"""

from __future__ import annotations

import re

__all__ = ["linux_name"]

_JUNOS = (re.compile(r"(?:et|xe|ge)-0/0/(\d+)\Z"), 0)
_GIGABIT = (re.compile(r"(?:Gi|GigabitEthernet)\s?(\d+)\Z"), 2)
_XR = (re.compile(r"(?:Gi|GigabitEthernet|Te|TenGigE|TenGigabitEthernet)\s?0/0/0/(\d+)\Z"), 0)
_ARISTA = (re.compile(r"(?:Et|Ethernet)\s?1/(\d+)\Z"), 1)
_FIREPOWER = (re.compile(r"(?:Gi|GigabitEthernet)\s?0/(\d+)\Z"), 0)
_SLOT = (re.compile(r"1/1/(\d+)\Z"), 1)

_VIRTUAL_MACHINES = {
    "arista_veos": _ARISTA,
    "aruba_aoscx": _SLOT,
    "ciena_saos": (re.compile(r"([1-9]\d*)\Z"), 1),
    "cisco_asav": _FIREPOWER,
    "cisco_c8000v": _GIGABIT,
    "cisco_cat9kv": (re.compile(r"(?:Gi|GigabitEthernet)\s?1/0/(\d+)\Z"), 1),
    "cisco_csr1000v": _GIGABIT,
    "cisco_ftdv": _FIREPOWER,
    "cisco_n9kv": _ARISTA,
    "cisco_vios": (_GIGABIT[0], 0),
    "cisco_xrd_vrouter": _XR,
    "cisco_xrv": _XR,
    "cisco_xrv9k": _XR,
    "f5_bigip-ve": (re.compile(r"1\.(\d+)\Z"), 1),
    "fortinet_fortigate": (re.compile(r"port(\d+)\Z"), 2),
    "freebsd": (re.compile(r"vtnet(\d+)\Z"), 1),
    "juniper_vjunosevolved": _JUNOS,
    "juniper_vjunosrouter": _JUNOS,
    "juniper_vjunosswitch": _JUNOS,
    "juniper_vmx": _JUNOS,
    "juniper_vqfx": _JUNOS,
    "juniper_vsrx": _JUNOS,
    "mikrotik_ros": (re.compile(r"ether(\d+)\Z"), 2),
    "nokia_sros": _SLOT,
    "openbsd": (re.compile(r"vio(\d+)\Z"), 1),
    "paloalto_panos": (re.compile(r"Ethernet1/(\d+)\Z"), 1),
}
"""By kind: the pattern of an alias, and the number that ``eth1`` has in it."""

_SRL = re.compile(r"ethernet-(\d+)/(\d+)(?:/(\d+))?\Z")
_SRSIM = re.compile(r"(\d+)/(?:(x\d+)/)?(\d+)(?:/(c\d+))?/(\d+)\Z")
_IOL = re.compile(r"(?:e|Ethernet)\s?(\d+)/(\d+)\Z")
_IOL_PORTS = 4  # a slot
_JOINED = {"srl": _SRL, "nokia_srlinux": _SRL, "nokia_srsim": _SRSIM}
_OF_LINUX = frozenset({"linux", "bridge", "ovs-bridge", "host", "ext-container", "k8s-kind"})
_LONGEST = 15
_OLD_PREFIX = "vr-"


def linux_name(kind: str, name: str) -> str:
    """What an interface is called in its network namespace.

    Args:
        kind: of its node.
        name: as the file calls it.

    Returns:
        The name in Linux. A vendor's name of a kind that is not known here gets ``-`` for ``/`` and blank, as
        containerlab does for alternative names. What is no name for an interface is returned as it is.
    """
    if pattern := _JOINED.get(kind):
        if match := pattern.match(name):
            return "e" + "-".join(part for part in match.groups() if part)
    elif kind == "cisco_iol" and (match := _IOL.match(name)):
        return f"eth{int(match[1]) * _IOL_PORTS + int(match[2])}"
    elif found := _virtual_machine(kind):
        alias, first = found
        if (match := alias.match(name)) and int(match[1]) >= first:
            return f"eth{int(match[1]) - first + 1}"
    if kind in _OF_LINUX:
        return name
    return name.replace("/", "-").replace(" ", "-")[:_LONGEST]


def _virtual_machine(kind: str) -> tuple[re.Pattern[str], int] | None:
    """The aliases of a kind, by its name or by an old one such as ``vr-vmx`` or ``vr-juniper_vmx``."""
    if not kind.startswith(_OLD_PREFIX):
        return _VIRTUAL_MACHINES.get(kind)
    bare = kind.removeprefix(_OLD_PREFIX)
    short = {"csr": "cisco_csr1000v"}
    if bare in _VIRTUAL_MACHINES:
        return _VIRTUAL_MACHINES[bare]
    if bare in short:
        return _VIRTUAL_MACHINES[short[bare]]
    return next((each for name, each in _VIRTUAL_MACHINES.items() if name.partition("_")[2] == bare), None)
