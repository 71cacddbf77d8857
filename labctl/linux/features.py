"""Features of the kernel, each told by using it once in a throw-away network namespace.

Module names say nothing (a feature may be built in, or its module may be missing from the running
kernel's package), so nothing here looks at them. A feature that is a module is loaded by being used.
"""

from __future__ import annotations

import shlex
import subprocess
import threading
from dataclasses import dataclass
from typing import TYPE_CHECKING

from labctl.linux import syscalls

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

__all__ = ["FEATURES", "VETH", "LackingError", "Trial", "in_new_namespace", "ruleset", "run", "trial"]

_AS_ROOT = "run it as root: sudo labctl doctor"
_ACCEPT_ALL = "'1,6 0 0 4294967295,'"  # one instruction: return the whole packet
VETH = "ip link add name a type veth peer name b"


class LackingError(Exception):
    """What was looked for is not there; the text says what was seen instead.

    Attributes:
        fix: what to do; empty where whoever looked knows better.
        untried: whether it could not be tried at all, so that it may be there.
    """

    def __init__(self, seen: str, fix: str = "", *, untried: bool = False) -> None:
        self.fix = fix
        self.untried = untried
        super().__init__(seen)


Command = tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Trial:
    """Commands that work where a feature is there, in a namespace that has nothing but ``lo``.

    Attributes:
        commands: run in turn; the first that fails ends the trial.
        stdin: of the last of them.
    """

    commands: tuple[Command, ...]
    stdin: str = ""

    def __call__(self) -> str:
        """Run it; LackingError with the last words of the command that failed."""
        in_new_namespace(self._run)
        return "works"

    def _run(self) -> None:
        for number, command in enumerate(self.commands):
            stdin = self.stdin if number == len(self.commands) - 1 else ""
            run(command, stdin)


def run(command: Sequence[str], stdin: str = "") -> str:
    """Run a command; its stdout.

    Raises:
        LackingError: it failed, or is not installed.
    """
    try:
        done = subprocess.run(
            list(command), input=stdin, capture_output=True, text=True, check=False, timeout=30
        )
    except FileNotFoundError:
        raise LackingError(f"not tried: {command[0]} is not installed", untried=True) from None
    except subprocess.TimeoutExpired:
        raise LackingError(f"{command[0]} hangs") from None
    if done.returncode != 0:
        lines = [line.strip() for line in (done.stderr or done.stdout).splitlines() if line.strip()]
        raise LackingError(lines[-1] if lines else f"{command[0]} ended with {done.returncode}")
    return done.stdout


def in_new_namespace(work: Callable[[], object]) -> None:
    """Run ``work`` in a thread with a network namespace of its own, which ends with it.

    Raises:
        LackingError: from ``work``; or no namespace can be made.
    """
    failures: list[BaseException] = []

    def enter() -> None:
        try:
            syscalls.unshare(syscalls.CLONE_NEWNET)
            work()
        except PermissionError:
            failures.append(LackingError("not tried: takes root", _AS_ROOT, untried=True))
        except OSError as error:
            failures.append(LackingError(error.strerror or str(error)))
        except BaseException as error:  # noqa: BLE001 - carried over to the caller's thread
            failures.append(error)

    thread = threading.Thread(target=enter, name="labctl-trial")
    thread.start()
    thread.join()
    if failures:
        raise failures[0]


def trial(*commands: str, stdin: str = "") -> Trial:
    """A trial of command lines, ``stdin`` for the last of them."""
    return Trial(tuple(tuple(shlex.split(command)) for command in commands), stdin)


def ruleset(family: str, chain: str) -> str:
    """Rules for nft: a table with one chain."""
    return f"table {family} labctl {{ chain try {{ {chain}; }}; }}\n"


FEATURES: Mapping[str, Trial] = {
    "veth": trial(VETH),
    "bridge": trial("ip link add name s type bridge"),
    "nf_tables": trial("nft -f -", stdin=ruleset("inet", "type filter hook forward priority 0; accept")),
    "vxlan": trial("ip link add name v type vxlan id 7 dstport 4789 local 127.0.0.1"),
    "cls_bpf": trial(
        VETH,
        "tc qdisc add dev a clsact",
        f"tc filter add dev a ingress protocol all bpf bytecode {_ACCEPT_ALL}",
    ),
    "netem": trial(VETH, "tc qdisc add dev a root netem delay 1ms"),
    "tbf": trial(VETH, "tc qdisc add dev a root tbf rate 1mbit burst 10kb latency 10ms"),
    "8021q": trial(VETH, "ip link add link a name a.5 type vlan id 5"),
    "vlan_filtering": trial("ip link add name s type bridge vlan_filtering 1"),
    "vrf": trial("ip link add name v type vrf table 9"),
    "dummy": trial("ip link add name d type dummy"),
}
"""By name: what a role may require of the kernel, and doctor looks for."""
