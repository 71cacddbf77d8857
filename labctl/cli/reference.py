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

Written by `python -m labctl.cli.reference`; a test compares. Every command has `-h` and `--help`.

Data goes to stdout, talk to stderr. Colour and live views only on a terminal; `NO_COLOR` is heard.
Exit codes: 0 done or PASS, 1 FAIL, 2 ERROR (bad input, a node that did not start, an action that
failed), 3 INCONCLUSIVE, 130 interrupted, after cleaning up. `exec` and `shell` give those of the
command in the node. SIGTERM and SIGHUP do what Ctrl-C does; a second signal does not stop the
cleaning up, a third does. `up` that was interrupted leaves nothing; a signal that comes when the lab
is up already is too late, and the exit code is 0. A signal in the first instants, while Python itself
starts, ends the process as it would any other (not with 130); nothing has been made by then.

What an option names to write is written to: a regular file is replaced in one step and keeps its mode and
owner; a device, a FIFO, `/dev/stdout` and the target of a symbolic link are written through. In a folder
that everybody can write to, such as /tmp, what another user made is refused. `render -o` keeps the old
folder until the new one is whole; `-o .` and mount points will do.

| variable | meaning |
|---|---|
| `NO_COLOR` | no colour, if not empty |
| `LABCTL_DEBUG` | let tracebacks through, if not empty |
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
