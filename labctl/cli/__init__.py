"""The command line: one file a command, thin.

How a command plugs in:

* a line in :data:`labctl.cli.registry.COMMANDS`: name, section, one line of help;
* a file ``labctl/cli/<name>.py`` (dashes become underscores; it is imported only when the
  command runs) with either a function ``command``, whose parameters are typer annotations and
  whose docstring is the help text, or, for a command with commands of its own, a ``typer.Typer``
  named ``app``. No ``from __future__ import annotations`` there: typer reads the annotations;
* what both kinds return is the exit code; None is 0.

What every command keeps to:

* data to stdout (:func:`labctl.cli.console.out`, :func:`~labctl.cli.console.out_json`), messages to
  stderr (:func:`~labctl.cli.console.say`);
* ``--json`` wherever a machine reads (:data:`labctl.cli.params.Json`);
* errors are raised as :class:`labctl.errors.LabctlError`; :mod:`labctl.cli.errors` prints them and
  turns them into exit codes, an interruption too; signals are :mod:`labctl.signals`' alone;
* colour and live views only where :func:`~labctl.cli.console.is_live` says so;
* what needs root calls :func:`labctl.cli.console.need_root` before it does anything.
"""

__all__ = ["main"]


def main() -> int:
    """The entry point: runs the command line and returns the exit code.

    Signals are handled from here on (:mod:`labctl.signals`), before anything else is imported, until
    the exit code is known; then they are ignored, since Python has yet to take itself apart.
    """
    import sys

    from labctl.signals import EXIT_INTERRUPTED, Handler, say

    handler = Handler()
    code = None
    try:
        try:
            handler.install()
            sys.unraisablehook = handler.raise_again
            from labctl.cli.errors import run

            code = run()
        finally:
            handler.ignore()
    except KeyboardInterrupt:
        # Before or after what labctl.cli.errors covers.
        handler.ignore()
    if code is None:
        say("labctl: interrupted")
        code = EXIT_INTERRUPTED
    return code
