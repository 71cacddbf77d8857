"""A rule that a set of items breaks: which item, and how."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from labctl.overlay.config.codec import kind_of

if TYPE_CHECKING:
    from labctl.overlay.config.model import Item

__all__ = ["Breach"]


@dataclass(frozen=True, slots=True)
class Breach:
    """One item, and what is wrong with it in words."""

    item: Item
    text: str

    def __str__(self) -> str:
        return f"{kind_of(self.item)} {self.item.name!r}: {self.text}"
