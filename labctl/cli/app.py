"""The root command: finds a command's module when it is asked for, and not before."""

from __future__ import annotations

import difflib
import importlib
from typing import Annotated, Any

import typer
from typer.core import TyperCommand, TyperGroup

from labctl.cli.registry import COMMANDS, SECTIONS, module_name

__all__ = ["build", "load_command"]

CONTEXT = {"help_option_names": ["-h", "--help"], "max_content_width": 100}


def load_command(name: str) -> Any:  # noqa: ANN401 - typer carries click under several names
    """Import a command's module and make the command.

    Returns:
        A click command: of the module's ``app`` if it has one, else of its function ``command``.
    """
    module = importlib.import_module(module_name(name))
    app = getattr(module, "app", None)
    if app is None:
        app = typer.Typer(add_completion=False, rich_markup_mode=None)
        settings = {**CONTEXT, **getattr(module, "CONTEXT", {})}
        app.command(name=name, context_settings=settings)(module.command)
    else:
        app.rich_markup_mode = None
        app.info.no_args_is_help = True
        app.info.context_settings = CONTEXT
        app._add_completion = False  # noqa: SLF001 - completion belongs to the root alone
    command = typer.main.get_command(app)
    command.name = name
    return command


class LazyGroup(TyperGroup):
    """A group whose commands stand in the registry."""

    _by_name_only = False

    def list_commands(self, ctx: Any) -> list[str]:  # noqa: ANN401, ARG002
        """Every name of the registry."""
        return list(COMMANDS)

    def get_command(self, ctx: Any, cmd_name: str) -> Any:  # noqa: ANN401, ARG002
        """The command of that name, or None."""
        if cmd_name not in COMMANDS:
            return None
        if self._by_name_only:
            return TyperCommand(cmd_name, help=COMMANDS[cmd_name].summary, rich_markup_mode=None)
        if cmd_name not in self.commands:
            self.commands[cmd_name] = load_command(cmd_name)
        return self.commands[cmd_name]

    def shell_complete(self, ctx: Any, incomplete: str) -> Any:  # noqa: ANN401
        """Complete names without importing what they name."""
        self._by_name_only = True
        try:
            return super().shell_complete(ctx, incomplete)
        finally:
            self._by_name_only = False

    def format_commands(self, ctx: Any, formatter: Any) -> None:  # noqa: ANN401, ARG002
        """One section of help for each kind of command."""
        for section in SECTIONS:
            with formatter.section(section):
                rows = [(name, entry.summary) for name, entry in COMMANDS.items() if entry.section == section]
                formatter.write_dl([(name.ljust(max(map(len, COMMANDS))), help_) for name, help_ in rows])

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:  # noqa: ANN401
        """As the base does; an unknown name is answered with the nearest that there is."""
        name = args[0]
        if name not in COMMANDS and not name.startswith("-") and not ctx.resilient_parsing:
            near = difflib.get_close_matches(name, COMMANDS, n=1, cutoff=0.5)
            ctx.fail(f"no command {name!r}" + (f" (did you mean {near[0]!r}?)" if near else ""))
        return super().resolve_command(ctx, args)

    def invoke(self, ctx: Any) -> Any:  # noqa: ANN401
        """Run the command; what typer would swallow or end the process for goes on to the error boundary."""
        from labctl.cli.errors import Escaped

        try:
            return super().invoke(ctx)
        except (OSError, EOFError, KeyboardInterrupt) as error:
            raise Escaped(error) from error


def build() -> TyperGroup:
    """The root command, ready to be called."""
    root = typer.Typer(cls=LazyGroup, rich_markup_mode=None, context_settings=CONTEXT, no_args_is_help=True)
    root.callback()(_root)
    command = typer.main.get_command(root)
    if not isinstance(command, TyperGroup):  # pragma: no cover - a callback makes it a group
        raise TypeError(command)
    command.name = "labctl"
    return command


def _print_version(wanted: bool) -> None:
    if wanted:
        from labctl import __version__

        typer.echo(f"labctl {__version__}")
        raise typer.Exit


def _root(
    version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    """A lab of real routers from one file, faults under traffic, and a verdict with numbers."""
