"""Rules of security groups: added, removed, listed; VMs put into groups."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from labctl.errors import InputError, Problem
from labctl.overlay.config.model import Direction, Group, Rule, VmPort
from labctl.overlay.config.plan import RuleSpec, plan_group, plan_rule

if TYPE_CHECKING:
    from collections.abc import Iterable

    from labctl.overlay.client.database import Overlay
    from labctl.overlay.config.state import Edit

__all__ = ["add_rule", "list_rules", "remove_rule", "use_groups"]


def add_rule(
    overlay: Overlay,
    group: str,
    direction: str,
    *,
    proto: str = "any",
    ports: str = "",
    remote: str = "",
    tenant: str = "",
) -> tuple[str, ...]:
    """Add a rule to a security group.

    Args:
        overlay: of the lab.
        group: name of the security group.
        direction: of a connection's first packet, ``in`` or ``out``.
        proto: any, icmp, tcp, udp, sctp or a number.
        ports: destination ports, ``N`` or ``N-M``; empty for any.
        remote: prefix or group of the other side; empty for anybody.
        tenant: makes the group for this tenant if it is not there yet.

    Returns:
        Names of what was made: one rule for each version of IP.

    Raises:
        InputError: a word is none that a rule can have, or there is no such group.
        ActionError: the state database does not answer.
    """
    if direction not in tuple(Direction):
        raise InputError([Problem("overlay", 0, 0, f"a direction is 'in' or 'out', not {direction!r}")])
    spec = RuleSpec(Direction(direction), proto, ports, remote)

    def add(edit: Edit) -> tuple[str, ...]:
        if tenant and not edit.has(Group, group):
            plan_group(edit, tenant, group, ())
        return plan_rule(edit, group, spec)

    return overlay.database.change(add)


def remove_rule(overlay: Overlay, name: str) -> None:
    """Remove a rule; connections that it allowed are cut.

    Raises:
        InputError: there is none of that name.
        ActionError: the state database does not answer.
    """

    def remove(edit: Edit) -> None:
        edit.get(Rule, name)
        edit.remove(Rule, name)

    overlay.database.change(remove)


def use_groups(overlay: Overlay, vm: str, groups: Iterable[str]) -> None:
    """Replace the security groups of a VM.

    Raises:
        InputError: there is no such VM, or no such group.
        ActionError: the state database does not answer.
    """
    names = tuple(groups)
    overlay.database.change(lambda edit: edit.put(replace(edit.get(VmPort, vm), groups=names)))


def list_rules(overlay: Overlay, group: str = "") -> tuple[Rule, ...]:
    """The rules of all security groups, or of one, in order of group and name.

    Raises:
        ActionError: the state database does not answer.
    """
    rules = (item for item in overlay.database.state().items() if isinstance(item, Rule))
    return tuple(
        sorted((one for one in rules if group in ("", one.group)), key=lambda one: (one.group, one.name))
    )
