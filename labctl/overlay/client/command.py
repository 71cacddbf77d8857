"""Overlay commands as a scenario writes them: ``env create dev7 --vms 4``.

The words, options and defaults are those of ``labctl overlay`` without the lab's name. Only commands that
change something are accepted: a listing in the middle of a run would have no reader.
"""

from __future__ import annotations

import argparse
import math
import shlex
from dataclasses import dataclass
from difflib import get_close_matches
from typing import TYPE_CHECKING, NoReturn

from labctl.overlay.client import environments, gateways, rules, tenants

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from labctl.overlay.client.database import Overlay

__all__ = ["COMMANDS", "OverlayCommand", "UnknownCommandError", "parse_command"]

_LEAST_TIMEOUT_S = 0.1


class UnknownCommandError(ValueError):
    """Words that are no command of the overlay.

    Attributes:
        message: what is wrong.
        hint: the nearest command, or how it is written; empty if there is none.
    """

    def __init__(self, message: str, hint: str = "") -> None:
        super().__init__(f"{message} ({hint})" if hint else message)
        self.message, self.hint = message, hint


@dataclass(frozen=True, slots=True)
class OverlayCommand:
    """A command that can be run.

    Attributes:
        words: as they were written.
        run: does it.
    """

    words: tuple[str, ...]
    run: Callable[[Overlay], None]


class _Parser(argparse.ArgumentParser):
    """Complains by an exception, and never ends the process."""

    def error(self, message: str) -> NoReturn:
        # A problem is one line, however narrow the terminal is.
        raise UnknownCommandError(f"overlay {self.prog}: {message}", " ".join(self.format_usage().split()))


def _parser(name: str) -> _Parser:
    return _Parser(prog=name, add_help=False, allow_abbrev=False)


def _names(name: str, *positionals: str) -> _Parser:
    parser = _parser(name)
    for positional in positionals:
        parser.add_argument(positional)
    return parser


def _count(least: int, most: int) -> Callable[[str], int]:
    """An integer between two bounds, for argparse."""

    def number(text: str) -> int:
        if text.isdecimal() and least <= int(text) <= most:
            return int(text)
        raise argparse.ArgumentTypeError(f"{text!r} is no number between {least} and {most}")

    return number


def _seconds(text: str) -> float:
    """A time-out in seconds, for argparse."""
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not _LEAST_TIMEOUT_S <= value < math.inf:
        raise argparse.ArgumentTypeError(f"{text!r} is no number of seconds, {_LEAST_TIMEOUT_S:g} or more")
    return value


def _network_add() -> _Parser:
    parser = _names("network add", "tenant", "network")
    parser.add_argument("--ipv4", default="")
    parser.add_argument("--ipv6", default="")
    parser.add_argument("--dns", action="append", default=[])
    return parser


def _rule_add() -> _Parser:
    parser = _names("rule add", "group")
    parser.add_argument("direction", choices=("in", "out"))
    parser.add_argument("--proto", default="any")
    for option in ("--ports", "--remote", "--tenant"):
        parser.add_argument(option, default="")
    return parser


def _rule_use() -> _Parser:
    parser = _names("rule use", "vm")
    parser.add_argument("groups", nargs="+")
    return parser


def _gateway(verb: str, option: str = "") -> _Parser:
    parser = _names(f"gateway {verb}", "node")
    if option:
        parser.add_argument(option, action="store_true")
    return parser


def _env_create() -> _Parser:
    parser = _names("env create", "environment")
    parser.add_argument("--networks", type=_count(1, 64), default=1)
    parser.add_argument("--vms", type=_count(0, 1000), default=0)
    parser.add_argument("--host", action="append", default=[])
    parser.add_argument("--wait", action=argparse.BooleanOptionalAction, default=True)
    parser.add_argument("--timeout", type=_seconds, default=environments.ADDRESSES_WITHIN_S)
    return parser


def _create_environment(overlay: Overlay, given: argparse.Namespace) -> None:
    ports = environments.create_environment(
        overlay, given.environment, networks=given.networks, vms=given.vms, hosts=given.host
    )
    if given.wait:
        late = environments.await_environment(overlay, ports, given.timeout)
        environments.need_addresses(late, given.timeout)


def _add_rule(overlay: Overlay, given: argparse.Namespace) -> None:
    rules.add_rule(
        overlay,
        given.group,
        given.direction,
        proto=given.proto,
        ports=given.ports,
        remote=given.remote,
        tenant=given.tenant,
    )


def _add_network(overlay: Overlay, given: argparse.Namespace) -> None:
    prefixes = [text for text in (given.ipv4, given.ipv6) if text]
    tenants.add_network(overlay, given.tenant, given.network, prefixes=prefixes, dns=given.dns)


@dataclass(frozen=True, slots=True)
class _Kind:
    """A command: how its words are read, and what it does with them."""

    parser: _Parser
    run: Callable[[Overlay, argparse.Namespace], None]


_KINDS: Mapping[str, _Kind] = {
    kind.parser.prog: kind
    for kind in (
        _Kind(_names("tenant add", "tenant"), lambda on, given: tenants.add_tenant(on, given.tenant)),
        _Kind(_names("tenant remove", "tenant"), lambda on, given: tenants.remove_tenant(on, given.tenant)),
        _Kind(
            _names("tenant peer", "one", "other"),
            lambda on, given: tenants.peer_tenants(on, given.one, given.other),
        ),
        _Kind(
            _names("tenant part", "one", "other"),
            lambda on, given: tenants.part_tenants(on, given.one, given.other),
        ),
        _Kind(_network_add(), _add_network),
        _Kind(
            _names("network remove", "network"), lambda on, given: tenants.remove_network(on, given.network)
        ),
        _Kind(_rule_add(), _add_rule),
        _Kind(_names("rule remove", "rule"), lambda on, given: rules.remove_rule(on, given.rule)),
        _Kind(_rule_use(), lambda on, given: rules.use_groups(on, given.vm, given.groups)),
        _Kind(_gateway("add"), lambda on, given: gateways.add_gateway(on, given.node)),
        _Kind(
            _gateway("remove", "--now"),
            lambda on, given: gateways.remove_gateway(on, given.node, now=given.now),
        ),
        _Kind(
            _gateway("drain", "--undo"),
            lambda on, given: gateways.drain_gateway(on, given.node, undo=given.undo),
        ),
        _Kind(_env_create(), _create_environment),
        _Kind(
            _names("env destroy", "environment"),
            lambda on, given: environments.destroy_environment(on, given.environment),
        ),
    )
}

COMMANDS: Mapping[str, argparse.ArgumentParser] = {name: kind.parser for name, kind in _KINDS.items()}
"""Every command, ``noun verb``, with what reads the rest of its words."""


def parse_command(words: Sequence[str]) -> OverlayCommand:
    """Read a command; nothing is run and nothing is connected to.

    Args:
        words: noun, verb and the rest, such as ``["env", "destroy", "dev7"]``.

    Raises:
        UnknownCommandError: there is no such command, or its arguments are none that it takes.
    """
    name = " ".join(words[:2])
    kind = _KINDS.get(name)
    if kind is None:
        near = get_close_matches(name, _KINDS, 1)
        hint = f"did you mean {near[0]!r}?" if near else f"expected one of {', '.join(_KINDS)}"
        raise UnknownCommandError(f"no command of the overlay changes anything by {shlex.quote(name)}", hint)
    given = kind.parser.parse_args(words[2:])
    return OverlayCommand(tuple(words), lambda overlay: kind.run(overlay, given))
