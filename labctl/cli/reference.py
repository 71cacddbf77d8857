"""docs/commands.md, written from the commands themselves: ``python -m labctl.cli.reference``.

A test compares the file with what this prints, so that the two cannot drift apart.
"""

from __future__ import annotations

import inspect
from typing import Any

from labctl.cli.app import load_command
from labctl.cli.registry import COMMANDS, SECTIONS

__all__ = ["page"]

HEAD = """\
# Commands

`python -m labctl.cli.reference` writes this page; a test compares them. Every command has
`--help`, and `-h` for short.

labctl writes data to stdout and messages to stderr. Colour and live views appear only on a terminal;
labctl honours `NO_COLOR`.

| exit code | |
|---|---|
| 0 | done, or PASS |
| 1 | FAIL |
| 2 | ERROR: bad input, a node that did not start, an action that failed |
| 3 | INCONCLUSIVE |
| 130 | interrupted, after cleaning up |

`exec` and `shell` return the exit code of the command in the node.

Signals: SIGTERM and SIGHUP have the effect of Ctrl-C. A second signal does not stop the cleanup, a third one
does. An interrupted `up` leaves nothing behind. If the signal arrives when the lab is up already, it has no
effect, and the exit code is 0. A signal while Python itself starts ends the process at once (not with 130);
labctl has created nothing by then.

Output files: labctl replaces a regular file in one step and keeps its mode and owner. It writes through a
device, a FIFO, `/dev/stdout` and the target of a symbolic link. In a folder that everybody can write to, such
as /tmp, labctl refuses to write to a file of another user. `render -o` keeps the old folder until the new one
is complete; `-o .` and mount points are allowed.

| variable | meaning |
|---|---|
| `NO_COLOR` | no colour, if not empty |
| `LABCTL_DEBUG` | show tracebacks, if not empty |
"""


def page() -> str:
    """The whole page, Markdown."""
    lines = [HEAD]
    for section in SECTIONS:
        lines.append(f"## {section}\n")
        for name in (name for name, entry in COMMANDS.items() if entry.section == section):
            lines += _command(f"labctl {name}", load_command(name))
    return "\n".join(lines)


def _command(name: str, command: Any) -> list[str]:  # noqa: ANN401 - a click command
    if getattr(command, "commands", None):
        lines = [f"### {name}\n", inspect.cleandoc(command.help or "") + "\n"]
        for sub in command.commands.values():
            lines += _command(f"{name} {sub.name}", sub)
        return lines
    shown = [param for param in command.params if not getattr(param, "hidden", False)]
    options = [param for param in shown if param.param_type_name == "option" and "--help" not in param.opts]
    arguments = [param for param in shown if param.param_type_name == "argument"]
    usage = " ".join([name, *(["[OPTIONS]"] if options else []), *map(_argument, arguments)])
    lines = [f"### {name}\n", f"    {usage}\n", inspect.cleandoc(command.help or "") + "\n"]
    if shown:
        lines += [
            "| | |",
            "|---|---|",
            *(f"| `{_cell(_metavar(param))}` | {_cell(param.help or '')} |" for param in arguments),
            *(f"| `{_cell(_option(param))}` | {_cell(_explained(param))} |" for param in options),
            "",
        ]
    return lines


def _metavar(param: Any) -> str:  # noqa: ANN401 - a click parameter
    return str(param.metavar or param.name.upper()).removesuffix("...")


def _argument(param: Any) -> str:  # noqa: ANN401 - a click parameter
    text = _metavar(param) + ("..." if param.nargs == -1 else "")
    return text if param.required else f"[{text}]"


def _option(param: Any) -> str:  # noqa: ANN401 - a click parameter
    names = ", ".join(param.opts)
    if param.secondary_opts:
        names += " / " + ", ".join(param.secondary_opts)
    if getattr(param, "is_flag", False):
        return names
    return f"{names} {param.metavar or param.name.upper()}"


def _explained(param: Any) -> str:  # noqa: ANN401 - a click parameter
    default = param.default
    text = param.help or ""
    if getattr(param, "is_flag", False) or default is None or callable(default) or default in ((), []):
        return text
    return f"{text} Default: `{getattr(default, 'value', default)}`."


def _cell(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|")


if __name__ == "__main__":
    import sys

    sys.stdout.write(page())
