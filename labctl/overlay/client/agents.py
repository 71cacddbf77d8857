"""The agents of a running lab, and the VMs that they started.

An agent's socket and its records of its VMs are files in its node. They are reached through the root folder
of the node's first process, so a query needs no process in the node.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from labctl.errors import ActionError
from labctl.lab.definition_cache import plan_of
from labctl.lab.runtime import NodeStatus
from labctl.overlay.agent.control_socket import ask

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from labctl.lab.runtime import Runtime
    from labctl.lab.state import LabDir

__all__ = ["Agents", "Guest", "GuestAddresses", "await_guests", "guest_words", "netns_of", "overlay_plan_of"]

_SOCKET = "run/labctl-agent/agent.sock"
_GUESTS = "run/labctl-agent/vm"
_POLL_S = 0.02
_GLOBAL = "00"
"""Scope of a global address in /proc/net/if_inet6."""
_TENTATIVE = 0x40
"""Flag of an address there that is still being looked for elsewhere on the link: nothing uses it yet."""


@dataclass(frozen=True, slots=True)
class Guest:
    """A VM that is no node of the lab.

    Attributes:
        name: of its port.
        host: compute node that it lives on.
        pid: of its first process, in the host's numbering.
        netns: a path that setns() can open.
    """

    name: str
    host: str
    pid: int
    netns: Path


class GuestAddresses(Protocol):
    """Says whether a VM can be used; :class:`Agents` is one."""

    def has_addresses(self, name: str, host: str) -> bool:
        """Whether a VM can use both of its addresses."""


def overlay_plan_of(lab: LabDir) -> Mapping[str, Any]:
    """What the lab was planned with: ``section``, ``hosts``, ``vms``, ``controllers``, ``servers``.

    Empty if it has no overlay; each list is empty if it has no such node.
    """
    planned = plan_of(lab)
    return {} if planned is None else dict(planned.overlay)


class Agents:
    """Every agent of a lab."""

    def __init__(self, runtime: Runtime, lab: LabDir) -> None:
        """Find the running agents.

        Raises:
            ActionError: the lab has no overlay.
        """
        self._lab = lab.name
        self.plain = overlay_plan_of(lab)
        if not self.plain.get("hosts"):
            raise ActionError(f"lab {lab.name} has no overlay: none of its nodes has an agent")
        states = runtime.states(lab)
        self.hosts: dict[str, str] = {host["name"]: host["kind"] for host in self.plain["hosts"]}
        """Node -> ``compute`` or ``gateway``."""
        self.by_tunnel: dict[str, str] = {host["tunnel"]: host["name"] for host in self.plain["hosts"]}
        """Underlay address -> node."""
        self._roots = {
            name: Path(f"/proc/{states[name].init_pid}/root")
            for name in self.hosts
            if name in states and states[name].status is NodeStatus.RUNNING
        }

    @property
    def running(self) -> tuple[str, ...]:
        """Nodes with an agent that have power."""
        return tuple(self._roots)

    def ask(self, host: str, request: Mapping[str, Any]) -> Mapping[str, Any]:
        """Ask an agent; see :mod:`labctl.overlay.agent.control_socket`.

        Raises:
            ActionError: its node is off, or it does not answer, or refuses.
        """
        root = self._roots.get(host)
        if root is None:
            raise ActionError(f"node {host} is off: its agent cannot be asked")
        try:
            return dict(ask(root / _SOCKET, request))
        except ActionError as error:
            raise ActionError(f"{host}: {error}") from error

    def guests(self) -> dict[str, Guest]:
        """Every VM that lives and is no node, by name."""
        found = {}
        for host, root in self._roots.items():
            try:
                folders = list((root / _GUESTS).iterdir())
            except OSError:
                continue
            for folder in folders:
                guest = _guest(host, root, folder)
                if guest is not None:
                    found[guest.name] = guest
        return found

    def guest(self, name: str) -> Guest:
        """One of them.

        Raises:
            ActionError: there is none of that name, or it does not live.
        """
        found = self.guests()
        if name not in found:
            near = get_close_matches(name, found, 1)
            hint = f" (did you mean {near[0]!r}?)" if near else ""
            raise ActionError(f"no VM {name!r} lives in lab {self._lab}{hint}")
        return found[name]

    def has_addresses(self, name: str, host: str) -> bool:
        """Whether a VM can use both of its addresses: by DHCP, and by router advertisement."""
        root = self._roots.get(host)
        if root is None:
            return False
        folder = root / _GUESTS / name
        guest = _guest(host, root, folder)
        if guest is None or not (folder / "lease").exists():
            return False
        try:
            rows = (guest.netns.parents[1] / "net" / "if_inet6").read_text().splitlines()
        except OSError:
            return False
        return any(_usable(*row.split()[3:6]) for row in rows)


def _usable(scope: str, flags: str, interface: str) -> bool:
    return interface == "eth0" and scope == _GLOBAL and not int(flags, 16) & _TENTATIVE


def _guest(host: str, root: Path, folder: Path) -> Guest | None:
    try:
        pid = int((folder / "pid").read_text())
        words = (root / f"proc/{pid}/cmdline").read_bytes().split(b"\0")
    except (OSError, ValueError):
        return None
    # Numbers are used again: it must be the process that was started for this VM.
    if folder.name.encode() not in words:
        return None
    return Guest(folder.name, host, pid, root / f"proc/{pid}/ns/net")


def netns_of(runtime: Runtime, lab: LabDir, name: str) -> Path:
    """Network namespace of a node, or of a VM that is none.

    Raises:
        ActionError: it does not run, or nobody is called so.
    """
    if name not in runtime.states(lab):
        try:
            return Agents(runtime, lab).guests()[name].netns
        except (ActionError, KeyError):
            pass  # the runtime knows best what to say of a node that is not there
    return runtime.netns(lab, name)


def guest_words(guest: Guest, argv: Sequence[str]) -> list[str]:
    """The words that run a command in a VM, said in the node that it lives on."""
    return ["nsenter", "--target", str(guest.pid), "--net", "--uts", "--pid", "--", *argv]


def await_guests(
    agents: GuestAddresses,
    wanted: Mapping[str, str],
    timeout_s: float,
    tell: Callable[[str, float], None] = lambda _name, _s: None,
) -> tuple[str, ...]:
    """Wait until VMs have their addresses.

    Args:
        agents: of the lab.
        wanted: name -> host.
        timeout_s: for how long.
        tell: gets each one's name and after how many seconds it was there.

    Returns:
        Those that are not there yet; empty if all is well.
    """
    began = time.monotonic()
    left = dict(wanted)
    while left:
        for name, host in list(left.items()):
            if agents.has_addresses(name, host):
                del left[name]
                tell(name, time.monotonic() - began)
        if time.monotonic() - began > timeout_s:
            break
        if left:
            time.sleep(_POLL_S)
    return tuple(left)
