"""Parses a packet from a few words: ``icmp vm2``, ``udp 10.128.1.10:53``, ``tcp6 vm3:80 ttl=2 size=1400``."""

from __future__ import annotations

import ipaddress
import re
from dataclasses import dataclass
from difflib import get_close_matches
from typing import TYPE_CHECKING

from labctl.errors import InputError, Problem

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["PROTOCOLS", "TracePacket", "read_words"]

PROTOCOLS = ("icmp", "tcp", "udp")
_SPELLED = tuple(f"{name}{version}" for name in PROTOCOLS for version in ("", "4", "6"))
_OPTIONS = {"ttl": (1, 255), "size": (1, 65535), "sport": (1, 65535)}
_PORT = (1, 65535)
_DEFAULT_PORT = {"udp": 33434, "tcp": 80}
_TARGET = re.compile(r"\[(?P<six>[^\]]*)\](?::(?P<port6>.*))?|(?P<rest>.*)")
_V6 = 6
WHERE = "PACKET"
_EXAMPLE = "such as 'icmp vm2', 'udp 10.128.1.10:53' or 'tcp6 vm3:80 ttl=2'"


@dataclass(frozen=True, slots=True)
class TracePacket:
    """What a user wants to be sent.

    Attributes:
        proto: one of :data:`PROTOCOLS`.
        version: 4 or 6; 0 where the words leave it open.
        target: name of a node or VM, or an address in its usual spelling.
        port: destination port; 0 with icmp.
        sport: source port, or identifier of an echo request; 0 for any.
        ttl: TTL or hop limit; 0 for the usual.
        size: bytes of IP packet; 0 for a short one.
        source: address that it claims to come from; empty for the sender's own.
    """

    proto: str
    version: int
    target: str
    port: int = 0
    sport: int = 0
    ttl: int = 0
    size: int = 0
    source: str = ""


def read_words(text: str) -> TracePacket:
    """Understand a packet in a few words.

    The first word is the protocol, with 4 or 6 behind it where the version of IP matters; the second
    is whom it goes to, with a port behind ``:`` (an IPv6 address in brackets then); more words are
    ``ttl=N``, ``size=N``, ``sport=N`` and ``src=ADDRESS``, in any order.

    Raises:
        InputError: every problem of it.
    """
    words = text.split()
    problems: list[Problem] = []
    if len(words) < 2:  # noqa: PLR2004 - protocol and target
        raise InputError([_problem(f"{text!r} is no packet: expected PROTOCOL TARGET", _EXAMPLE)])
    proto, version = _protocol(words[0], problems)
    target, port = _target(words[1], problems)
    numbers, source = _options(words[2:], problems)
    for said in filter(None, (_version_of(target), _version_of(source))):
        if version and said != version:
            problems.append(
                _problem(f"{words[0]} is IPv{version} and {target if said == _version_of(target) else source}"
                         f" is an IPv{said} address")
            )  # fmt: skip
            break
        version = said
    if proto == "icmp" and port:
        problems.append(_problem(f"icmp knows no ports: {words[1]!r}", f"icmp {target}"))
    if problems:
        raise InputError(problems)
    return TracePacket(proto, version, target, port or _DEFAULT_PORT.get(proto, 0), source=source, **numbers)


def _problem(message: str, hint: str = "") -> Problem:
    return Problem(WHERE, 0, 0, message, hint)


def _protocol(word: str, problems: list[Problem]) -> tuple[str, int]:
    spelled = word.lower()
    if spelled not in _SPELLED:
        near = get_close_matches(spelled, _SPELLED, 1)
        hint = f"did you mean {near[0]!r}?" if near else f"one of {', '.join(PROTOCOLS)}"
        problems.append(_problem(f"{word!r} is no protocol that can be traced", hint))
        return "", 0
    return spelled.rstrip("46"), int(spelled[-1]) if spelled[-1] in "46" else 0


def _target(word: str, problems: list[Problem]) -> tuple[str, int]:
    found = _TARGET.fullmatch(word)
    if found is None:  # pragma: no cover - the last alternative takes everything
        return word, 0
    if found["six"] is not None:
        if not _version_of(found["six"]):
            problems.append(_problem(f"{found['six']!r} in brackets is no IPv6 address"))
        host, port = found["six"], found["port6"]
    elif _version_of(found["rest"]) == _V6:
        host, port = found["rest"], None
    else:
        host, colon, port = found["rest"].partition(":")
        port = port if colon else None
    if not host:
        problems.append(_problem(f"{word!r} names nobody that the packet could go to", _EXAMPLE))
    if _version_of(host):
        host = str(ipaddress.ip_address(host))
    return host, _number("port", port, _PORT, problems) if port is not None else 0


def _options(words: Sequence[str], problems: list[Problem]) -> tuple[dict[str, int], str]:
    numbers: dict[str, int] = {}
    source = ""
    for word in words:
        key, equals, value = word.partition("=")
        if key == "src" and equals:
            if not _version_of(value):
                problems.append(_problem(f"src={value}: no address"))
            source = value
        elif key in _OPTIONS and equals:
            numbers[key] = _number(key, value, _OPTIONS[key], problems)
        else:
            near = get_close_matches(key, [*_OPTIONS, "src"], 1)
            hint = f"did you mean {near[0]}=?" if near else "ttl=N, size=N, sport=N, src=ADDRESS"
            problems.append(_problem(f"{word!r} says nothing of a packet", hint))
    return numbers, source


def _number(what: str, text: str, limits: tuple[int, int], problems: list[Problem]) -> int:
    low, high = limits
    if not (text.isascii() and text.isdecimal()) or not low <= int(text) <= high:
        problems.append(_problem(f"{what} is {text!r}, must be a number from {low} to {high}"))
        return 0
    return int(text)


def _version_of(text: str) -> int:
    """4 or 6 for an address, 0 for anything else."""
    try:
        return ipaddress.ip_address(text).version
    except ValueError:
        return 0
