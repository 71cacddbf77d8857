"""Rules of one iptables table, and the edit of a saved rule set, as nova's manager did it. Pure.

The controller owns the chains whose names begin with ``nova-network-``, and jumps to them from the
built-in ones. An edit takes every line of its own out of what ``iptables-save -c`` printed and puts
its rules as it knows them in; all that others wrote stays where it was. No comments, as then.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

__all__ = ["BUILT_IN", "OWNER", "IptablesRule", "Table", "edit", "split_tables", "tables_of_controller"]

OWNER = "nova-network"

BUILT_IN = {
    "filter": ("INPUT", "FORWARD", "OUTPUT"),
    "nat": ("PREROUTING", "INPUT", "OUTPUT", "POSTROUTING"),
    "mangle": ("PREROUTING", "INPUT", "FORWARD", "OUTPUT", "POSTROUTING"),
}


@dataclass(frozen=True, slots=True)
class IptablesRule:
    """One rule.

    Attributes:
        chain: its name in the kernel.
        text: matches and target, in the words in which iptables-save prints them.
        top: it goes before the rules of others.
    """

    chain: str
    text: str
    top: bool = False

    def __str__(self) -> str:
        return f"-A {self.chain} {self.text}"


@dataclass
class Table:
    """What the controller wants of one table.

    Attributes:
        name: ``filter``, ``nat`` or ``mangle``.
        chains: of the controller.
        shared: chains that it makes and that others may use too.
        rules: in their order.
        dirty: something changed since it was last applied.
    """

    name: str
    chains: list[str] = field(default_factory=list)
    shared: list[str] = field(default_factory=list)
    rules: list[IptablesRule] = field(default_factory=list)
    dirty: bool = True

    def add(self, chain: str, text: str) -> None:
        """Add a rule to the controller's own chain for a built-in one; twice is once."""
        rule = IptablesRule(f"{OWNER}-{chain}", text)
        if rule not in self.rules:
            self.rules.append(rule)
            self.dirty = True


def tables_of_controller(names: Iterable[str] = ("filter", "nat")) -> dict[str, Table]:
    """The tables of these names as they are before the first network: chains, and the jumps into them."""
    make = {"filter": _filter_table, "nat": _nat_table, "mangle": _mangle_table}
    return {name: make[name]() for name in names}


def _filter_table() -> Table:
    filters = Table("filter", [f"{OWNER}-{name}" for name in (*BUILT_IN["filter"], "local")])
    filters.shared.append("nova-filter-top")
    for chain in ("FORWARD", "OUTPUT"):
        filters.rules.append(IptablesRule(chain, "-j nova-filter-top", top=True))
    filters.rules.append(IptablesRule("nova-filter-top", f"-j {OWNER}-local"))
    for chain in BUILT_IN["filter"]:
        filters.rules.append(IptablesRule(chain, f"-j {OWNER}-{chain}", top=True))
    return filters


def _nat_table() -> Table:
    used = ("PREROUTING", "OUTPUT", "POSTROUTING")
    nat = Table("nat", [f"{OWNER}-{name}" for name in (*used, "snat", "float-snat")])
    nat.shared.append("nova-postrouting-bottom")
    for chain in used:
        nat.rules.append(IptablesRule(chain, f"-j {OWNER}-{chain}", top=True))
    nat.rules.append(IptablesRule("POSTROUTING", "-j nova-postrouting-bottom", top=True))
    nat.rules.append(IptablesRule("nova-postrouting-bottom", f"-j {OWNER}-snat"))
    nat.rules.append(IptablesRule(f"{OWNER}-snat", f"-j {OWNER}-float-snat"))
    return nat


def _mangle_table() -> Table:
    """For checksums of DHCP on hosts that run every network; here it has no rule but the jump."""
    chain = "POSTROUTING"
    return Table(
        "mangle",
        [f"{OWNER}-{chain}"],
        rules=[IptablesRule(chain, f"-j {OWNER}-{chain}", top=True)],
    )


def split_tables(lines: Iterable[str]) -> dict[str, list[str]]:
    """What one ``iptables-save`` of all tables printed, by table; comments are left out."""
    tables: dict[str, list[str]] = {}
    current: list[str] = []
    for line in lines:
        if line.startswith("*"):
            current = tables.setdefault(line[1:].strip(), [])
        if line and not line.startswith("#"):
            current.append(line)
    return tables


def edit(table: Table, saved: Sequence[str]) -> list[str]:
    """The lines for ``iptables-restore -c``.

    Args:
        table: what the controller wants.
        saved: what ``iptables-save -c -t TABLE`` printed; nothing where the table is not there yet.

    Returns:
        Lines from ``*table`` to ``COMMIT``. Rules and chains that were there keep their counters.
        Edited again, the lines stay the same.
    """
    counters = dict(_counted(line) for line in saved if line.startswith("["))
    ours = {str(rule) for rule in table.rules}
    own_chains = {*table.chains, *table.shared}
    chain_lines = {line.split()[0][1:]: line for line in saved if line.startswith(":")}
    foreign = [line for line in saved if line.startswith("[") and not _is_ours(line, ours, own_chains)]
    names = [*BUILT_IN[table.name], *(name for name in chain_lines if name not in BUILT_IN[table.name])]
    names += [name for name in (*table.chains, *table.shared) if name not in chain_lines]
    kept = [name for name in names if name in own_chains or not name.startswith(f"{OWNER}-")]
    heads = [chain_lines.get(name, _head(name, table.name)) for name in kept]
    mine = [f"{counters.get(str(rule), '[0:0]')} {rule}" for rule in table.rules]
    top = [line for line, rule in zip(mine, table.rules, strict=True) if rule.top]
    rest = [line for line, rule in zip(mine, table.rules, strict=True) if not rule.top]
    return [f"*{table.name}", *heads, *top, *foreign, *rest, "COMMIT"]


def _counted(line: str) -> tuple[str, str]:
    counter, _, rule = line.partition(" ")
    return rule.strip(), counter


def _head(name: str, table: str) -> str:
    return f":{name} {'ACCEPT' if name in BUILT_IN[table] else '-'} [0:0]"


def _is_ours(line: str, ours: set[str], own_chains: set[str]) -> bool:
    """Whether a saved rule is the controller's: it knows it, or it stands in or leads to its chains."""
    rule = _counted(line)[0]
    words = rule.split()
    return rule in ours or words[1] in own_chains or any(f"{OWNER}-" in word for word in words[1:])
