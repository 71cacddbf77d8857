"""SIGINT, SIGTERM and SIGHUP: one handler for the process, and the blocks of code in which it waits.

The rules:

* the first signal raises :class:`Interrupted` where the main thread is; whoever has something to undo
  catches it as KeyboardInterrupt. The second only says that the first was received, so that it does
  not stop the undoing. The third raises again: it gives up and leaves the lab as it is;
* in a block :func:`held`, the first signal waits until the block ends. Undoing is such a block, and so
  is handing something over to the code that will undo it;
* an import is finished first. Python does not survive half an import: a C extension cannot be loaded
  a second time, and 3.11 turns an exception in ``__set_name__`` into a RuntimeError;
* once the work is :func:`done`, a signal comes too late and has no effect.

What no Python program can handle is a signal before its first line, while the interpreter starts:
SIGTERM and SIGHUP end the process then, and SIGINT prints a traceback of Python's start-up. labctl has
made nothing by that time.

This module is imported before anything else, so it imports nothing but ``signal``.
"""

from __future__ import annotations

import signal
import sys

TYPE_CHECKING = False  # importing it from typing takes longer than everything else here
if TYPE_CHECKING:
    from types import FrameType, TracebackType

__all__ = [
    "EXIT_INTERRUPTED",
    "Handler",
    "Interrupted",
    "done",
    "handled",
    "held",
    "interrupted",
    "released",
    "say",
]

EXIT_INTERRUPTED = 130

HANDLED = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
"""In the order in which they are installed; tests wait for the last."""

_GIVES_UP = 3
_RETRY_S = 0.002
_IMPORT = "<frozen importlib._bootstrap>"


class Interrupted(KeyboardInterrupt):
    """A signal was received.

    A class of its own because of bpo-1054041: Python notes when a plain KeyboardInterrupt leaves code
    that was run from a string (every dataclass is made by such code), and ``python -m`` then ends the
    process by SIGINT, though the exception was caught and the exit code is another.
    """


class Handler:
    """Handles the signals of this process; to be installed in its main thread.

    A signal that is ignored stays ignored: nohup, and ``&`` in a script, want it so.
    """

    def __init__(self) -> None:
        self._count = 0
        self._holds = 0
        self._waiting = False
        self._done = False
        self._over = False
        self._before: dict[signal.Signals, object] = {}

    @property
    def interrupted(self) -> bool:
        """Whether any signal was received."""
        return self._count > 0

    def install(self) -> None:
        """Handle the signals from now on."""
        for number in HANDLED:
            before = signal.getsignal(number)
            if before is not signal.SIG_IGN:
                self._before[number] = before
                signal.signal(number, self)

    def restore(self) -> None:
        """Give the signals back to who handled them before."""
        for number, before in self._before.items():
            signal.signal(number, before)  # type: ignore[arg-type]  # what getsignal gave
        self._before.clear()

    def ignore(self) -> None:
        """Ignore the signals until the process ends: its exit code is known."""
        self._over = True
        signal.setitimer(signal.ITIMER_REAL, 0)
        for number in (*HANDLED, signal.SIGALRM):
            signal.signal(number, signal.SIG_IGN)

    def done(self) -> None:
        """The work is done; what follows is only reported. The third signal still gives up."""
        self._done = True
        self._waiting = False

    def __call__(self, number: int, frame: FrameType | None) -> None:
        """Receive a signal."""
        if self._over:
            return
        self._count += 1
        if self._count >= _GIVES_UP:
            raise Interrupted
        if self._done:
            return
        if self._count > 1:
            say("labctl: cleaning up; another signal aborts and leaves the lab as it is")
            return
        self._waiting = True
        self._deliver(number, frame)

    def _deliver(self, _number: int, frame: FrameType | None) -> None:
        if not self._waiting or self._holds or self._over:
            return
        if _importing(frame):
            self._deliver_soon()
            return
        self._waiting = False
        raise Interrupted

    def _deliver_soon(self) -> None:
        signal.signal(signal.SIGALRM, self._deliver)
        signal.setitimer(signal.ITIMER_REAL, _RETRY_S)

    def hold(self) -> int:
        """Let signals wait; returns how many blocks did so before."""
        self._holds += 1
        return self._holds - 1

    def set_holds(self, holds: int) -> None:
        """Go back to so many blocks that hold signals; with none, deliver what waits."""
        self._holds = holds
        self._deliver(0, None)

    def raise_again(self, unraisable: sys.UnraisableHookArgs) -> None:
        """Instead of :func:`sys.unraisablehook`: an interruption that hit a finaliser is not lost."""
        if issubclass(unraisable.exc_type, Interrupted):
            if not self._over:
                self._waiting = True
                self._deliver_soon()
        else:
            sys.__unraisablehook__(unraisable)


class _Handled:
    """See :func:`handled`."""

    def __enter__(self) -> None:
        self._handler: Handler | None = None
        theirs = (signal.SIG_DFL, signal.SIG_IGN, signal.default_int_handler)
        if _current() or any(signal.getsignal(number) not in theirs for number in HANDLED):
            return
        handler = Handler()
        try:
            handler.install()
        except ValueError:  # only the main thread can
            return
        self._handler = handler

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._handler:
            self._handler.restore()


class _Held:
    """See :func:`held` and :func:`released`."""

    def __init__(self, *, release: bool) -> None:
        self._release = release

    def __enter__(self) -> None:
        self._handler = _current()
        self._before = self._handler.hold() if self._handler else 0
        if self._handler and self._release:
            self._handler.set_holds(0)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._handler:
            self._handler.set_holds(self._before)


def handled() -> _Handled:
    """A block in which the signals are handled, for a program that knows nothing of them.

    Where somebody handles one of them already, or in another thread than the main one, all stays as
    it is.
    """
    return _Handled()


def held() -> _Held:
    """A block in which a first signal waits; it raises where the outermost such block ends."""
    return _Held(release=False)


def released() -> _Held:
    """A block, within those that hold signals, in which they raise; who opens it undoes its work."""
    return _Held(release=True)


def done() -> None:
    """Say that the work is done: a first or second signal from now on comes too late."""
    handler = _current()
    if handler:
        handler.done()


def interrupted() -> bool:
    """Whether this process has received one of the signals."""
    handler = _current()
    return handler is not None and handler.interrupted


def _current() -> Handler | None:
    """The handler of this process: the kernel's and Python's table of signals is where it is kept."""
    for number in HANDLED:
        handler = signal.getsignal(number)
        if isinstance(handler, Handler):
            return handler
    return None


def _importing(frame: FrameType | None) -> bool:
    while frame is not None:
        if frame.f_code.co_filename == _IMPORT:
            return True
        frame = frame.f_back
    return False


def say(line: str) -> None:
    """Print a line to stderr, if anybody still reads it."""
    try:  # noqa: SIM105 - contextlib is not imported here
        print(line, file=sys.stderr, flush=True)  # noqa: T201 - nor is the console
    except (OSError, ValueError, RuntimeError):
        pass  # the terminal has gone, or the signal came in the middle of a write to it
