"""Templates: found through several folders, strict about what is undefined, clear about errors."""

from __future__ import annotations

import re
import shlex
import traceback
from pathlib import Path
from typing import TYPE_CHECKING, Any

import jinja2
from jinja2.sandbox import SandboxedEnvironment

from labctl.errors import RenderError
from labctl.roles.folders import inside
from labctl.shipped import folder

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

__all__ = ["Templates", "yaml_word"]

_SHIPPED = "shipped/"
_SPACE, _TILDE = 0x20, 0x7E
_PLAIN = re.compile(r"[A-Za-z_/][A-Za-z0-9_./-]*\Z")
_NOT_TEXT = frozenset({"y", "n", "yes", "no", "on", "off", "true", "false", "null", "none"})


def yaml_word(value: object) -> str:
    """A value as a YAML scalar that is text, for YAML that containerlab reads.

    containerlab reads the file as a Go template and replaces ``$`` expressions before it parses
    YAML; both characters are written as YAML's own escapes, so that neither step sees them.
    """
    text = str(value)
    if _PLAIN.match(text) and text.lower() not in _NOT_TEXT:
        return text
    return '"' + "".join(map(_escaped, text)) + '"'


def _escaped(character: str) -> str:
    code = ord(character)
    if _SPACE <= code <= _TILDE and character not in '"\\${':
        return character
    if code <= 0xFF:  # noqa: PLR2004 - YAML has escapes of two, four and eight digits
        return f"\\x{code:02x}"
    return f"\\u{code:04x}" if code <= 0xFFFF else f"\\U{code:08x}"  # noqa: PLR2004


def shell_words(words: Iterable[str]) -> str:
    """Words as one line that a shell-like splitter takes apart into the same words."""
    return shlex.join(words)


class Templates:
    """The templates of several folders, the first that has a file wins.

    A template of the user's that bears the name of one of ours can still extend ours: as
    ``shipped/<name>``.
    """

    def __init__(self, folders: Sequence[Path], lineages: Mapping[str, Sequence[str]] | None = None) -> None:
        """Take the folders, and by name of each role in use the roles that it is made from, itself first."""
        known = lineages or {}
        self._folders = tuple(folders)
        # A template may come with somebody else's topology: it fills in text, and runs nothing of the host.
        self._environment = SandboxedEnvironment(
            loader=jinja2.FunctionLoader(self._load),
            undefined=jinja2.StrictUndefined,
            autoescape=False,
            trim_blocks=True,
            lstrip_blocks=True,
            keep_trailing_newline=True,
        )
        # A mapping stays in its order: that of the overlay's tenants decides what each is given.
        self._environment.policies["json.dumps_kwargs"] = {"sort_keys": False}
        self._environment.filters.update(yaml=yaml_word, shell=shell_words, quote=shlex.quote)
        # What a node is does not hang on its role's name: a role that extends another is one of its kind.
        self._environment.tests["of_role"] = lambda node, role: role in known.get(node.role, (node.role,))

    def render(self, name: str, context: Mapping[str, Any], node: str = "") -> str:
        """Fill in one template.

        Args:
            name: relative to the template folders.
            context: what it may use, by name.
            node: for whom; named in errors.

        Raises:
            RenderError: names template, line and node.
        """
        try:
            return self._environment.get_template(name).render(context)
        except jinja2.TemplateSyntaxError as error:
            place = f"{error.filename or error.name or name}:{error.lineno}"
            raise RenderError(_message(place, node, str(error.message))) from error
        except jinja2.TemplateNotFound as error:
            place = self._place(name, error)
            raise RenderError(_message(place, node, f"there is no template {str(error)!r}")) from error
        except RenderError:
            raise
        except Exception as error:  # what a template computes may raise anything
            text = (
                str(error) if isinstance(error, jinja2.TemplateError) else f"{type(error).__name__}: {error}"
            )
            raise RenderError(_message(self._place(name, error), node, text)) from error

    def holds(self, expression: str, context: Mapping[str, Any], where: str, node: str) -> bool:
        """Whether an expression is true of a node.

        Args:
            expression: as in ``{% if ... %}``.
            context: what it may use, by name.
            where: what to call the place in errors.
            node: for whom; named in errors.

        Raises:
            RenderError: it cannot be evaluated.
        """
        try:
            found = self._environment.compile_expression(expression, undefined_to_none=False)(**context)
            return bool(found)
        except Exception as error:  # the same as in a template
            raise RenderError(_message(where, node, f"{expression!r}: {error}")) from error

    def _load(self, name: str) -> tuple[str, str, Callable[[], bool]] | None:
        folders, relative = self._folders, name
        if name.startswith(_SHIPPED):
            folders, relative = (folder("templates"),), name.removeprefix(_SHIPPED)
        if ".." in Path(relative).parts or Path(relative).is_absolute():
            return None
        for root in folders:
            path = root / relative
            if path.is_file():
                if not inside(path, root):
                    raise RenderError(f"{path}: leads out of its template folder, to {path.resolve()}")
                try:
                    return path.read_text(encoding="utf-8"), str(path), lambda: True
                except UnicodeDecodeError as error:
                    raise RenderError(f"{path}: is not UTF-8 text: {error.reason}") from error
        return None

    def _place(self, name: str, error: BaseException) -> str:
        """File and line of the innermost template on the way to the error."""
        files = (*tuple(str(root) for root in self._folders), str(folder("templates")))
        for frame in reversed(traceback.extract_tb(error.__traceback__)):
            if frame.filename.startswith(files):
                return f"{frame.filename}:{frame.lineno}"
        return name


def _message(place: str, node: str, text: str) -> str:
    return f"{place}: {text}" + (f" (node {node})" if node else "")
