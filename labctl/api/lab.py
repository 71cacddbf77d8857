"""A lab in a program's hands: traffic over it, faults in it, waits for it, and its end."""

from __future__ import annotations

import contextlib
import shlex
from collections import deque
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, Self

from labctl import signals
from labctl.api.durations import as_delta, as_ns, as_word
from labctl.api.errors import NotMet
from labctl.api.fault import AppliedFault
from labctl.api.node import RunningNode
from labctl.api.traffic import MeasuredTraffic
from labctl.document.hints import nearest
from labctl.errors import ActionError, InputError, LabctlError, Problem
from labctl.events import silent
from labctl.scenario.kinds.action import Power
from labctl.scenario.kinds.condition import Waiting
from labctl.scenario.load import scenario_of_words
from labctl.scenario.program_run import ProgramRun

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from datetime import timedelta
    from types import TracebackType

    from labctl.api.durations import Span
    from labctl.api.host import LabHost
    from labctl.fault.types import Effect
    from labctl.lab.loaded import LoadedLab
    from labctl.lab.reservation import ForcedChange
    from labctl.model.lab import Lab
    from labctl.scenario.backend import LabBackend
    from labctl.scenario.kinds.action import Action

__all__ = ["CommandOutput", "RunningLab"]


_REMEMBERED = 8


@dataclass(frozen=True, slots=True)
class CommandOutput:
    """What a command in a node did."""

    code: int
    stdout: str
    stderr: str

    @property
    def ok(self) -> bool:
        """Whether it ended with 0."""
        return self.code == 0


class RunningLab:
    """A lab that is up. A context manager: leaving it takes back faults, and takes down what ``up`` made.

    Attributes:
        plan: nodes, links and addresses, as planned.
        measured: traffic that has ended, the latest last; the last 8.
    """

    def __init__(
        self, backend: LabBackend, loaded: LoadedLab, host: LabHost, *, ours: bool, keep: bool = False
    ) -> None:
        """Of a lab that is up.

        Args:
            backend: how it is acted on.
            loaded: what it was made from.
            host: its reservation and its end.
            ours: it was brought up here: the end of the ``with`` takes it down ...
            keep: ... unless it is to be kept.
        """
        self.backend = backend
        self._loaded = loaded
        self._host = host
        self._down_at_end = ours and not keep
        self._faults: list[AppliedFault] = []
        self._flowing: list[MeasuredTraffic] = []
        self._held = contextlib.ExitStack()
        self._changes: Callable[[], Sequence[ForcedChange]] = tuple
        self._handling = contextlib.ExitStack()
        self.measured: deque[MeasuredTraffic] = deque(maxlen=_REMEMBERED)

    def __repr__(self) -> str:
        return f"<Lab {self.name} on {self.runtime}>"

    @property
    def name(self) -> str:
        """Its name."""
        return self._loaded.lab.name

    @property
    def runtime(self) -> str:
        """``netns`` or ``containerlab``."""
        return self._host.runtime

    @property
    def plan(self) -> Lab:
        """Nodes, links and addresses, as planned."""
        return self._loaded.lab

    @property
    def nodes(self) -> Mapping[str, RunningNode]:
        """Every node by name, in topology order."""
        return {one.name: RunningNode(one, self.plan, self.backend) for one in self.plan.nodes}

    @property
    def faults(self) -> tuple[AppliedFault, ...]:
        """Those made here and still in force, the oldest first."""
        return tuple(self._faults)

    def node(self, name: str) -> RunningNode:
        """One node.

        Raises:
            InputError: there is none of that name.
        """
        nodes = self.nodes
        if name not in nodes:
            raise InputError([Problem("node", 0, 0, f"unknown node {name!r}", nearest(name, list(nodes)))])
        return nodes[name]

    def __enter__(self) -> Self:
        self._handling.enter_context(signals.handled())
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        interrupted = kind is not None and issubclass(kind, KeyboardInterrupt)
        with self._handling, signals.handled(), signals.held():
            self._end_traffic(interrupted=interrupted)
            if self._down_at_end:
                self._host.take_down()
                self._faults.clear()
            else:
                self.heal()

    # Traffic

    def traffic(
        self,
        source: str,
        to: str,
        *,
        rate: float = 1000,
        flows: int = 1,
        proto: Literal["udp", "icmp"] = "udp",
        size: int = 128,
        family: Literal[4, 6, "both"] = 4,
        both: bool = False,
        name: str = "",
    ) -> MeasuredTraffic:
        """Numbered packets between two nodes, for the length of a ``with``.

        Args:
            source: node that sends.
            to: node that receives.
            rate: packets a second over all flows together.
            flows: number of 5-tuples, which take turns.
            proto: ``icmp``: echo, whose reply is counted.
            size: bytes of IP packet.
            family: 4, 6 or both; with both there is one stream each, of the full rate and flows.
            both: a second stream of the same kind in the other direction.
            name: of the stream; ``source-to`` if not given.

        Raises:
            InputError: a node or a value is wrong.
        """
        one = {"proto": proto, "rate": rate, "flows": flows, "size": size, "family": family}
        called = name or f"{source}-{to}"
        streams = [{"name": called, "from": source, "to": to, **one}]
        if both:
            streams.append({"name": f"{called}-back", "from": to, "to": source, **one})
        words = {"name": called, "traffic": streams}
        trial = ProgramRun(self.backend, self._loaded, words, self._host.about(), silent, f"traffic {called}")
        return MeasuredTraffic(trial, self._begin, self._end)

    # Faults

    def power_off(self, node: str, mode: Literal["cut", "graceful", "freeze"] = "cut") -> AppliedFault:
        """Cut the power of a node.

        Args:
            node: its name.
            mode: ``cut``: no goodbye; ``graceful``: its stop program runs first; ``freeze``: its processes
                stop, and carrier stays.

        Raises:
            InputError: no such node.
            ActionError: it cannot be done.
        """
        return self.act("power-off", node, **({} if mode == "cut" else {"mode": mode}))

    def link_cut(self, a: str, b: str) -> AppliedFault:
        """Cut a link: both ends lose carrier.

        Args:
            a: node, or ``node:interface`` where several links connect the two.
            b: the other end, in the same form.
        """
        return self.act("link-cut", [a, b])

    def blackhole(self, a: str, b: str | None = None) -> AppliedFault:
        """Drop every packet on a link, or on all links of a node; carrier stays."""
        return self.act("node-blackhole", a) if b is None else self.act("link-blackhole", [a, b])

    def kill(self, node: str, process: str) -> AppliedFault:
        """Kill a process of a node by SIGKILL; its node's own supervisor brings it back."""
        return self.act("kill", {"node": node, "process": process})

    def act(self, action: str, target: Any, **options: Any) -> AppliedFault:  # noqa: ANN401 - checked as a scenario
        """Do any action of the scenario language, in its own words.

        ``lab.act("fence", {"node": "gw1", "for": "gw2"})``

        While traffic flows, the first fault of each victim waits 1.5 s (more with slow flows), in which it is
        recorded which flows cross it.

        Args:
            action: key of a timeline entry.
            target: what a scenario has there.
            options: other keys of the entry; ``_`` stands for ``-``.

        Raises:
            InputError: it is no such entry, or it has several targets.
            ActionError: it cannot be done.
        """
        words = {action: target, **{key.replace("_", "-"): value for key, value in options.items()}}
        steps = scenario_of_words({"timeline": [{"at": 0, **words}]}, self.plan, f"act {action}").timeline
        if len(steps) != 1:
            raise InputError(
                [Problem(f"act {action}", 0, 0, "expected one target and no `for`: undo() takes it back")]
            )
        fault = AppliedFault(steps[0].action, self._undo)
        if fault.in_force:
            self._faults.append(fault)  # before it is done: half a fault must be taken back, too
        fault.effect = self._do(fault.done, words, fault)
        return fault

    def heal(self) -> None:
        """Take back every fault made here, the latest first; goes on when one cannot be taken back.

        Raises:
            ActionError: at least one could not be taken back.
        """
        failures = []
        for fault in reversed(self._faults.copy()):
            try:
                self._undo(fault)
            except LabctlError as error:
                failures.append(f"{fault.done}: {error}")
        if failures:
            raise ActionError("could not be healed: " + "; ".join(failures))

    # Waits

    def ready(self, *nodes: str, within: Span = "30s") -> timedelta:
        """Wait until nodes report ready; without names, every node that has power.

        Returns:
            How long it took.

        Raises:
            NotMet: they do not in time; says what each is missing.
            InputError: no such node.
        """
        return self.wait({"ready": list(nodes) or "all", "within": as_word(within, "within")})

    def wait(self, condition: Mapping[str, Any]) -> timedelta:
        """Wait for any condition of the scenario language, in its own words.

        ``lab.wait({"bgp": {"node": "r1", "peer": "r2"}, "within": "10s"})``

        Returns:
            How long it took.

        Raises:
            NotMet: it does not hold in time.
            InputError: it is no such condition, or one of traffic (:meth:`MeasuredTraffic.steady`).
        """
        (wanted,) = scenario_of_words({"steady": [dict(condition)]}, self.plan, "wait").steady
        if wanted.streams() is not None:
            raise InputError([Problem("wait", 0, 0, "a condition of traffic is waited for by its steady()")])
        begin = self.backend.now_ns()
        measured = wanted.wait(Waiting(self.backend, None, self._dark, lambda _values: None))
        took = as_delta(self.backend.now_ns() - begin)
        if not measured.met:
            raise NotMet(f"{wanted}: {measured.why or 'not met'}", last=measured.values, polls=0, took=took)
        return took

    def until(self, check: Callable[[], Any], within: Span, *, every: Span = "100ms", what: str = "") -> Any:  # noqa: ANN401 - whatever the check gives
        """Call a function until it gives something true, and return that.

        Raises:
            NotMet: it did not in time.
        """
        begin = self.backend.now_ns()
        end = begin + as_ns(within, "within")
        polls = 0
        while True:
            last, polls = check(), polls + 1
            now = self.backend.now_ns()
            if last:
                return last
            if now >= end:
                name = what or _name(check)
                text = f"{name} did not hold within {within}; the last of {polls} polls gave {last!r}"
                raise NotMet(text, last=last, polls=polls, took=as_delta(now - begin))
            self.backend.sleep_until(now + as_ns(every, "every"))

    def hold(self, check: Callable[[], Any], for_: Span, *, every: Span = "100ms", what: str = "") -> None:
        """Call a function over and over, and want something true each time.

        Raises:
            NotMet: once it was not.
        """
        begin = self.backend.now_ns()
        end = begin + as_ns(for_, "for_")
        polls = 0
        while True:
            last, polls = check(), polls + 1
            now = self.backend.now_ns()
            if not last:
                after = (now - begin) / 1e9
                name = what or _name(check)
                text = f"{name} did not hold for {for_}: poll {polls}, after {after:.2f} s, gave {last!r}"
                raise NotMet(text, last=last, polls=polls, took=as_delta(now - begin))
            if now >= end:
                return
            self.backend.sleep_until(now + as_ns(every, "every"))

    def sleep(self, duration: Span) -> None:
        """Let time go by on the lab's clock."""
        self.backend.sleep_until(self.backend.now_ns() + as_ns(duration))

    # Commands, and the end

    def exec(
        self, node: str, command: str | Sequence[str], *, timeout: Span = "10s", check: bool = False
    ) -> CommandOutput:
        """Run a command in a node, never through a shell, and wait for it.

        Args:
            node: its name.
            command: words; text is split as a shell would, and nothing in it is expanded.
            timeout: for it to end.
            check: raise if it does not end with 0.

        Raises:
            ActionError: the node is off, the time is over, or ``check`` failed.
        """
        argv = shlex.split(command) if isinstance(command, str) else list(command)
        done = self.backend.execute(self.node(node).name, argv, as_ns(timeout, "timeout") / 1e9)
        output = CommandOutput(
            done.code, *(one.decode(errors="replace") for one in (done.stdout, done.stderr))
        )
        if check and not output.ok:
            raise ActionError(f"{node}: {argv[0]} ended with {output.code}: {output.stderr.strip()}")
        return output

    def logs(self) -> dict[str, str]:
        """What each node has said since it last booted; why there is none where it cannot be had."""
        return {node.name: self._host.log(node.name) for node in self.plan.nodes}

    def down(self) -> None:
        """Take the lab down now; repeating it is no error."""
        with signals.handled(), signals.held():
            self._end_traffic(interrupted=False)
            self._host.take_down()
            self._faults.clear()

    def _dark(self) -> list[str]:
        return [node for fault in self._faults if fault.done.power is Power.OFF for node in fault.done.nodes]

    def _begin(self, traffic: MeasuredTraffic) -> Callable[[], Sequence[ForcedChange]]:
        """The lab is held as long as any traffic flows."""
        if not self._flowing:
            self._changes = self._held.enter_context(
                self._host.reserved(f"traffic {traffic.name} of a program")
            )
        self._flowing.append(traffic)
        return self._changes

    def _end(self, traffic: MeasuredTraffic) -> None:
        if traffic in self._flowing:
            self._flowing.remove(traffic)
        if traffic.trial.ended:
            self.measured.append(traffic)
        if not self._flowing:
            self._held.close()

    def _end_traffic(self, *, interrupted: bool) -> None:
        for traffic in self._flowing.copy():
            with contextlib.suppress(LabctlError):  # its result is an ERROR, and says why
                traffic.stop(interrupted=interrupted)

    def _undo(self, fault: AppliedFault) -> None:
        back = fault.done.undone()
        target: Any = list(back.target) if back.kind.on_link else back.target[0]
        self._do(back, {back.name: target}, None)
        fault.in_force = False
        self._faults.remove(fault)

    def _do(self, action: Action[Any], words: Mapping[str, Any], fault: AppliedFault | None) -> Effect:
        """Do an action, and let every traffic that flows know."""
        planned = [(traffic, traffic.trial.before(action, words)) for traffic in self._flowing]
        alone = contextlib.nullcontext() if planned else self._host.changing(action.name, action.label)
        try:
            with alone:
                effect = self.backend.act(action, silent)
        except LabctlError as error:
            for traffic, step in planned:
                traffic.trial.failed(step, error)
            raise
        for traffic, step in planned:
            traffic.trial.after(step, effect)
            if fault is not None:
                fault.steps.append((traffic, step.step.index))
        return effect


def _name(check: Callable[[], Any]) -> str:
    return getattr(check, "__name__", "the check").replace("<lambda>", "the check")
