"""The parent's side of a helper process: starts it, exchanges JSON lines, and reports its death."""

from __future__ import annotations

import contextlib
import json
import os
import select
import subprocess
import sys
import time
from typing import TYPE_CHECKING, Any

from labctl.errors import ProbeError

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["Helper"]

_LINE = 1 << 16


class Helper:
    """One helper process.

    Attributes:
        what: for messages: ``sender of ext1, srv1``.
        finished: it said that it has done all of its work.
    """

    def __init__(self, module: str, what: str, fds: Sequence[int]) -> None:
        self.what = what
        self.finished = False
        self._rest = b""
        self._process = subprocess.Popen(
            [sys.executable, "-P", "-m", module, str(os.getpid())],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            pass_fds=tuple(fds),
        )

    @property
    def pid(self) -> int:
        """Its process id."""
        return self._process.pid

    def send(self, message: object) -> None:
        """Send one message; a dead helper is detected by the next :meth:`receive`."""
        assert self._process.stdin is not None  # noqa: S101 - for the type checker
        with contextlib.suppress(BrokenPipeError):
            self._process.stdin.write(json.dumps(message).encode() + b"\n")
            self._process.stdin.flush()

    def receive(self, timeout_s: float) -> dict[str, Any]:
        """Receive the helper's next message.

        Raises:
            ProbeError: it reported an error, died, or said nothing in time.
        """
        assert self._process.stdout is not None  # noqa: S101 - for the type checker
        fd = self._process.stdout.fileno()
        deadline = time.monotonic() + timeout_s
        while b"\n" not in self._rest:
            if not select.select([fd], [], [], max(0.0, deadline - time.monotonic()))[0]:
                raise ProbeError(f"the {self.what} sent no message for {timeout_s:g} s")
            chunk = os.read(fd, _LINE)
            if not chunk:
                raise ProbeError(self._epitaph())
            self._rest += chunk
        line, _, self._rest = self._rest.partition(b"\n")
        message: dict[str, Any] = json.loads(line)
        if "error" in message:
            raise ProbeError(str(message["error"]))
        self.finished = "done" in message
        return message

    def check(self) -> None:
        """Check that the helper runs, or has ended in order.

        Raises:
            ProbeError: it died.
        """
        if not self.finished and self._process.poll() is not None:
            while not self.finished:
                self.receive(1.0)

    def finish(self, timeout_s: float) -> None:
        """Wait until the helper has finished its work.

        Raises:
            ProbeError: it died, reported an error, or did not end in time.
        """
        while not self.finished:
            self.receive(timeout_s)

    def close(self) -> None:
        """End the helper, whatever it is doing; it has ended on return."""
        if self._process.poll() is None and not self.finished:
            self._process.kill()
        for pipe in (self._process.stdin, self._process.stdout, self._process.stderr):
            if pipe is not None:
                with contextlib.suppress(OSError):
                    pipe.close()
        try:
            self._process.wait(2.0)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()

    def _epitaph(self) -> str:
        code = self._process.wait()
        assert self._process.stderr is not None  # noqa: S101 - for the type checker
        last = self._process.stderr.read().decode(errors="replace").strip().rpartition("\n")[2]
        ended = f"was killed by signal {-code}" if code < 0 else f"ended with code {code}"
        return f"the {self.what} {ended}" + (f": {last}" if last else "")
