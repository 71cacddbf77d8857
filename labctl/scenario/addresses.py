"""Many destinations of one stream: ``addresses: 10.40.[1-{networks}].1`` is a flow to each. Pure."""

from __future__ import annotations

import re
from ipaddress import ip_address
from typing import TYPE_CHECKING, Any

from labctl.load.ranges import RangeError, expand

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["MOST_ADDRESSES", "addresses_of"]

MOST_ADDRESSES = 4096
"""As many as a stream may have flows."""

_VARIABLE = re.compile(r"\{([A-Za-z_][A-Za-z0-9_]*)\}")


def addresses_of(pattern: str, variables: Mapping[str, Any], family: int = 4) -> tuple[str, ...]:
    """The addresses that a pattern stands for.

    Args:
        pattern: an address with ranges, and with variables of the topology, in it.
        variables: of the topology, after ``--set``.
        family: that every address must have.

    Raises:
        ValueError: it cannot be read; the message says why.
    """
    unknown = [name for name in _VARIABLE.findall(pattern) if name not in variables]
    if unknown:
        raise ValueError(f"the topology has no variable {unknown[0]!r}")
    filled = _VARIABLE.sub(lambda match: str(variables[match.group(1)]), pattern)
    try:
        found = expand(filled, MOST_ADDRESSES)
    except RangeError as error:
        raise ValueError(str(error)) from error
    for text in found:
        if ip_address(text).version != family:
            raise ValueError(f"{text} is no IPv{family} address")
    return found
