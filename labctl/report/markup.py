"""HTML and SVG from function calls: every text is escaped, whoever wrote it."""

from __future__ import annotations

from html import escape

__all__ = ["Markup", "el", "join"]


class Markup(str):
    """Text that is HTML already."""

    __slots__ = ()


_VOID = {"meta", "br", "hr", "line", "rect", "circle", "path", "use"}
_SHORT = {"class_": "class", "for_": "for"}


def el(tag: str, *children: object, **attributes: object) -> Markup:
    """An element.

    Args:
        tag: name.
        children: :class:`Markup` as it is, anything else as escaped text; None is left out.
        attributes: a trailing underscore is cut, underscores become dashes; None is left out, numbers
            are rounded to hundredths.
    """
    words = "".join(
        f' {_name(key)}="{escape(_value(value), quote=True)}"'
        for key, value in attributes.items()
        if value is not None
    )
    if tag in _VOID and not children:
        return Markup(f"<{tag}{words}/>")
    return Markup(f"<{tag}{words}>{join(*children)}</{tag}>")


def join(*children: object) -> Markup:
    """Several pieces, one after the other."""
    return Markup(
        "".join(
            child if isinstance(child, Markup) else escape(str(child), quote=False)
            for child in children
            if child is not None
        )
    )


def _name(key: str) -> str:
    return _SHORT.get(key, key.rstrip("_").replace("_", "-") if key != "viewBox" else key)


def _value(value: object) -> str:
    return f"{value:.2f}".rstrip("0").rstrip(".") if isinstance(value, float) else str(value)
