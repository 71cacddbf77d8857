"""What commands say, and to whom: data to stdout, messages to stderr."""

from __future__ import annotations

import contextlib
import io
import json
import os
import re
import shlex
import shutil
import sys
from typing import TYPE_CHECKING, Any, TextIO

from labctl.errors import HostError

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from rich.console import Console, RenderableType

    from labctl.errors import Problem

__all__ = [
    "console",
    "is_live",
    "need_root",
    "out",
    "out_json",
    "say",
    "show",
    "table",
    "wants_colour",
    "warn",
]

_WIDTH = 100
"""Columns of what is written to a file or a pipe."""


def out(text: str) -> None:
    """Write a line of data to stdout.

    Raises:
        HostError: it cannot be written, for example because the disk is full.
    """
    try:
        sys.stdout.write(text + "\n")
    except BrokenPipeError:
        raise  # nobody reads any more, which is no error
    except OSError as error:
        raise HostError(f"stdout cannot be written: {error.strerror}") from error


def out_json(value: Any) -> None:  # noqa: ANN401 - anything that JSON can hold
    """Write a value to stdout as JSON; see :func:`out`."""
    out(json.dumps(value, indent=2, default=str))


def say(text: str) -> None:
    """Tell the user something, on stderr; a terminal that was closed does not stop the work."""
    with contextlib.suppress(OSError):
        sys.stderr.write(text + "\n")
        sys.stderr.flush()


def warn(problems: Iterable[Problem]) -> None:
    """Print a line on stderr for each thing that still works and will not for ever."""
    for problem in problems:
        say(f"warning: {problem}")


def is_live(stream: TextIO | None = None) -> bool:
    """Whether a live view may be drawn: the stream (stderr if None) is a terminal that can."""
    stream = sys.stderr if stream is None else stream
    return stream.isatty() and os.environ.get("TERM", "dumb") != "dumb"


def wants_colour(stream: TextIO | None = None) -> bool:
    """Whether colour may be used: a terminal, and no NO_COLOR (https://no-color.org)."""
    return is_live(stream) and not os.environ.get("NO_COLOR")


def console(stream: TextIO | None = None) -> Console:
    """A rich console on the stream (stderr if None) that keeps to these rules."""
    from rich.console import Console

    stream = sys.stderr if stream is None else stream
    return Console(file=stream, no_color=not wants_colour(stream), highlight=False)


def show(renderable: RenderableType) -> None:
    """Show a report on stderr: drawn on a terminal; elsewhere plain lines without blanks at their ends."""
    if is_live():
        console().print(renderable)
        return
    from rich.console import Console

    text = io.StringIO()
    Console(file=text, width=_WIDTH, no_color=True, highlight=False).print(renderable)
    lines = "\n".join(line.rstrip() for line in text.getvalue().splitlines())
    say(re.sub(r"\n{3,}", "\n\n", lines).strip("\n"))


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Plain columns with a heading, two spaces between, for people and for awk alike."""
    lines = [list(head), *(list(row) for row in rows)]
    widths = [max(len(line[column]) for line in lines) for column in range(len(head))]
    return "\n".join(
        "  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip()
        for line in lines
    )


def need_root(why: str) -> None:
    """Refuse, before anything is done, when the user is not root.

    Args:
        why: what it is needed for, such as ``making network namespaces``.

    Raises:
        HostError: not root; the message gives the command line that would do.
    """
    if os.geteuid() == 0:
        return
    # sudo resets PATH: a labctl in a virtual environment is found by its whole name only.
    program = shutil.which(sys.argv[0]) or sys.argv[0]
    again = shlex.join(["sudo", os.path.abspath(program), *sys.argv[1:]])  # noqa: PTH100 - keeps symlinks
    raise HostError(f"{why} needs root: {again}")
