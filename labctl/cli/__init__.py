"""The command line: one file a command, thin.

How a command plugs in:

* a line in :data:`labctl.cli.registry.COMMANDS`: name, section, one line of help;
* a file ``labctl/cli/<name>.py`` (dashes become underscores; it is imported only when the
  command runs) with either a function ``command``, whose parameters are typer annotations and
  whose docstring is the help text, or, for a command with commands of its own, a ``typer.Typer``
  named ``app``. No ``from __future__ import annotations`` there: typer reads the annotations;
* what both kinds return is the exit code; None is 0.

What every command keeps to:

* data to stdout (:func:`labctl.cli.console.out`, :func:`~labctl.cli.console.out_json`), talk to
  stderr (:func:`~labctl.cli.console.say`);
* ``--json`` wherever a machine reads (:data:`labctl.cli.params.Json`);
* errors are raised as :class:`labctl.errors.LabctlError`; :mod:`labctl.cli.errors` prints them and
  turns them into exit codes, Ctrl-C and SIGTERM too;
* colour and live views only where :func:`~labctl.cli.console.is_live` says so;
* what needs root calls :func:`labctl.cli.console.need_root` before it does anything.
"""

__all__ = ["main"]


def main() -> int:
    """The entry point: runs the command line and returns the exit code."""
    import signal

    from labctl.cli.errors import run

    code = run()
    # The work is done: a Ctrl-C while Python ends must not print a traceback.
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    return code
