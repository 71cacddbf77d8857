"""A topology while it is being expanded: what was given, and where in the file it was given."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

__all__ = ["EndDraft", "Given", "LinkDraft", "NodeDraft", "Path"]

Path = tuple[str | int, ...]
"""Keys and indices from the root of the document."""


@dataclass(frozen=True, slots=True)
class Given:
    """A value, and the path to where the user gave it."""

    value: Any
    path: Path


@dataclass(slots=True)
class NodeDraft:
    """One node, the settings of every key that names it merged.

    Attributes:
        name: of the node.
        path: to the key that first named it.
        settings: ``role``, ``loopback4``, ``loopback6``, ``asn``, ``image``, and a role's own keys.
        vars: merged key by key.
    """

    name: str
    path: Path
    settings: dict[str, Given] = field(default_factory=dict)
    vars: dict[str, Given] = field(default_factory=dict)

    def value(self, key: str) -> Any:  # noqa: ANN401 - any setting
        """The value of a setting; None if it was not given."""
        given = self.settings.get(key)
        return None if given is None else given.value


@dataclass(slots=True)
class EndDraft:
    """One end of a link: the settings ``interface``, ``mac``, ``ipv4``, ``ipv6``."""

    node: str
    settings: dict[str, Given] = field(default_factory=dict)

    def value(self, key: str) -> Any:  # noqa: ANN401 - any setting
        """The value of a setting; None if it was not given."""
        given = self.settings.get(key)
        return None if given is None else given.value


@dataclass(slots=True)
class LinkDraft:
    """One link; ``path`` leads to the entry of ``links`` that made it."""

    a: EndDraft
    b: EndDraft
    path: Path
    mtu: int | None = None

    @property
    def ends(self) -> tuple[EndDraft, EndDraft]:
        """Both ends, ``a`` first."""
        return (self.a, self.b)
