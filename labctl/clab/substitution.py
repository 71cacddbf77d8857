"""What containerlab fills into the texts of a file: variables of the environment, and magic variables.

Variables follow the Go library ``envsubst`` as containerlab 0.79 calls it (``core/file.go``): a variable that
is not set, or empty, and has no default stays as ``$NAME``; ``$1`` and ``$$`` are for the shell in the node.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

__all__ = ["UnclosedError", "fill_in", "magic"]

_VARIABLE = re.compile(
    r"\$(?:\$|(?P<plain>[^\W\d]\w*)|\{(?P<name>[^\W\d]\w*)(?P<rest>[^}\r\n]*)(?P<end>\}?))"
)
_OPERATOR = re.compile(r":[-=+]|[-=+]")
_WHOLE = re.compile(r"\$([^\W\d]\w*)\Z")


class UnclosedError(ValueError):
    """A ``${`` without its ``}`` on the same line; the message names the variable."""


def fill_in(text: str, environment: Mapping[str, str]) -> str:
    """Fill variables of the environment into a text.

    Args:
        text: one value of the file.
        environment: the variables.

    Returns:
        The text with ``$NAME``, ``${NAME}``, and ``${NAME-x}``, ``${NAME=x}``, ``${NAME+x}`` (set or not) and
        ``${NAME:-x}``, ``${NAME:=x}``, ``${NAME:+x}`` replaced, and ``$$`` as a dollar.

    Raises:
        UnclosedError: a brace is not closed.
    """
    return _VARIABLE.sub(lambda match: _value(match, environment), text) if "$" in text else text


def _value(match: re.Match[str], environment: Mapping[str, str]) -> str:
    if match[0] == "$$":
        return "$"
    name = match["plain"] or match["name"]
    if name == "_":
        return match[0]
    value = environment.get(name, "") or f"${name}"
    if match["plain"]:
        return value
    if not match["end"]:
        raise UnclosedError(f"expected `}}` after `${{{name}`, on the same line")
    operator = _OPERATOR.match(match["rest"])
    default = match["rest"][operator.end() :] if operator else ""
    return _or_default(name, operator[0], default, environment) if operator and default else value


def _or_default(name: str, operator: str, default: str, environment: Mapping[str, str]) -> str:
    """The value of ``${name<operator>default}``."""
    if other := _WHOLE.match(default):
        default = environment.get(other[1], "") or default
    if operator.endswith("+"):
        return default if name in environment else ""
    if operator.startswith(":"):
        return environment.get(name, "") or default
    return environment[name] or f"${name}" if name in environment else default


def magic(text: str, lab: str, node: str, folder: Path) -> str:
    """Fill containerlab's magic variables into a command or the source of a bind.

    Args:
        text: the command or the source.
        lab: name of the lab.
        node: name of the node.
        folder: of the file. ``__clabDir__`` is the folder of the lab below it, whether it is there or not.
    """
    if "__clab" not in text:
        return text
    lab_name = f"clab-{lab}"
    for variable, value in (
        ("__clabDir__", f"{folder}/{lab_name}"),
        ("__clabLabName__", lab_name),
        ("__clabNodeDir__", f"{folder}/{lab_name}/{node}"),
        ("__clabNodeName__", node),
    ):
        text = text.replace(variable, value)
    return text
