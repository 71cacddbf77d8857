"""report.html."""

from __future__ import annotations

from html import escape
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from labctl.verdict.schema import Result

__all__ = ["page"]


def page(result: Result) -> str:
    """The whole page."""
    return f"<!doctype html><title>{escape(result.name)}</title>{escape(str(result.verdict))}"
