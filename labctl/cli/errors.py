"""Between the commands and the process: errors become one line and an exit code.

No traceback reaches a user. What nobody foresaw is written to a crash file, whose name is printed;
``LABCTL_DEBUG=1`` lets the traceback through.
"""

from __future__ import annotations

import contextlib
import os
import select
import sys
from typing import TYPE_CHECKING, Any

import typer

from labctl import signals
from labctl.cli.app import Escaped, build
from labctl.errors import InputError, LabctlError
from labctl.signals import EXIT_INTERRUPTED

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

__all__ = ["EXIT_ERROR", "EXIT_INTERRUPTED", "guard", "run"]

EXIT_ERROR = 2
EXIT_PIPE = 141  # what a program that SIGPIPE ended gives

# typer carries click under its own name in newer releases, so that it has no import path which
# holds for all: the bases of BadParameter are UsageError and ClickException in every release.
_USAGE, _CLICK = typer.BadParameter.__mro__[1:3]


def run(argv: Sequence[str] | None = None) -> int:
    """Run the command line.

    Args:
        argv: words after the program's name; those of the process if None.

    Returns:
        The exit code.
    """
    words = list(sys.argv[1:] if argv is None else argv)

    def call() -> object:
        return build().main(args=words, prog_name="labctl", standalone_mode=False)

    return guard(call)


def guard(call: Callable[[], object]) -> int:
    """Call, print what went wrong as a user can read it, and return the exit code."""
    if sys.stdout is None:  # closed by who started us: what is written there fails, and only then
        sys.stdout = open(os.open(os.devnull, os.O_RDONLY), "w", encoding="utf-8")  # noqa: PTH123, SIM115
    try:
        try:
            result = call()
            sys.stdout.flush()
        except Escaped as envelope:
            raise envelope.inner  # noqa: B904 - the envelope says nothing of its own
    except SystemExit as error:
        return error.code if isinstance(error.code, int) else EXIT_ERROR * bool(error.code)
    except KeyboardInterrupt:
        return _interrupted("interrupted")
    except LabctlError as error:
        return _after_signals(_told(error))
    except Exception as error:  # noqa: BLE001 - the last one who can say it in one line
        return _after_signals(_foreign(error))
    if result == EXIT_INTERRUPTED and signals.interrupted():
        # The signal came while typer read the words, and typer says nothing.
        return _interrupted("interrupted")
    return result if isinstance(result, int) else 0


def _after_signals(code: int) -> int:
    """The exit code of an error: what failed after a signal was received was interrupted."""
    return EXIT_INTERRUPTED if signals.interrupted() else code


def _told(error: LabctlError) -> int:
    if error.exit_code == EXIT_INTERRUPTED:
        return _interrupted(str(error) or "interrupted")
    for line in (str(error) or type(error).__name__).splitlines():
        # A problem in a file begins with its place, so that editors can jump there.
        _stderr(line if isinstance(error, InputError) else f"labctl: {line}")
    _unwritable()  # what is left of the output would be complained of by Python as it ends
    return error.exit_code


def _foreign(error: Exception) -> int:
    if isinstance(error, _USAGE):
        return _usage(error)
    if isinstance(error, _CLICK):
        _stderr(f"labctl: {error.format_message()}")  # type: ignore[attr-defined]
        return EXIT_ERROR
    if isinstance(error, typer.Abort):
        return _interrupted("interrupted")
    code = _of_system(error) if isinstance(error, OSError) else None
    return _crash(error) if code is None else code


def _of_system(error: OSError) -> int | None:
    """The exit code where the system refused something that every command does; else None."""
    if isinstance(error, BrokenPipeError) and _reader_gone():
        # Nobody reads any more (labctl ls | head): no error, and nothing to say to anybody.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return EXIT_PIPE
    if why := _unwritable():
        _stderr(f"labctl: stdout cannot be written: {why}")
        return EXIT_ERROR
    if isinstance(error, PermissionError) and os.geteuid() != 0:
        _stderr(f"labctl: {error.strerror}: {error.filename} (this may need root: try it with sudo)")
        return EXIT_ERROR
    return None


def _usage(error: Any) -> int:  # noqa: ANN401 - click's UsageError under either name
    context = getattr(error, "ctx", None)
    if type(error).__name__ == "NoArgsIsHelpError":
        error.show()
        return EXIT_ERROR
    name = context.command_path if context else "labctl"
    message = error.format_message().rstrip(".")
    _stderr(f"{name}: {message[:1].lower()}{message[1:]}; see '{name} --help'")
    return EXIT_ERROR


def _interrupted(message: str) -> int:
    _stderr(f"labctl: {message}")
    return EXIT_INTERRUPTED


def _crash(error: Exception) -> int:
    if os.environ.get("LABCTL_DEBUG"):
        raise error
    import tempfile
    import traceback

    frame = traceback.extract_tb(error.__traceback__)[-1]
    first = (str(error).splitlines() or [""])[0]
    line = f"labctl: internal error: {type(error).__name__}: {first} ({frame.filename}:{frame.lineno})"
    with contextlib.suppress(OSError):
        handle, path = tempfile.mkstemp(prefix="labctl-crash-", suffix=".txt")
        with os.fdopen(handle, "w") as file:
            file.write(f"{sys.argv}\n")
            traceback.print_exception(error, file=file)
        line += f"; the details are in {path}"
    _stderr(line)
    return EXIT_ERROR


def _stderr(line: str) -> None:
    with contextlib.suppress(OSError, ValueError):
        print(line, file=sys.stderr, flush=True)  # noqa: T201 - this is the one place that does


def _unwritable() -> str:
    """Why what still waits to be written to stdout cannot be; empty if it can. It is dropped then."""
    try:
        sys.stdout.flush()
    except OSError as error:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return error.strerror or str(error)
    return ""


def _reader_gone() -> bool:
    """Whether whoever read our stdout has gone: else the broken pipe was another one, and a fault."""
    try:
        poll = select.poll()
        poll.register(sys.stdout.fileno(), 0)
        return any(what & (select.POLLERR | select.POLLHUP) for _, what in poll.poll(0))
    except (OSError, ValueError):
        return False
