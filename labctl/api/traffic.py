"""Traffic of a program: it flows for the length of a ``with``, and its result is a scenario's."""

from __future__ import annotations

import contextlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Self

from labctl import signals
from labctl.api.durations import as_delta, as_word
from labctl.api.errors import Inconclusive, NotMet
from labctl.api.result import JudgedResult
from labctl.errors import LabctlError, ProbeError
from labctl.verdict.statistics import nearest_rank

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from datetime import timedelta
    from types import TracebackType

    from labctl.api.durations import Span
    from labctl.api.fault import AppliedFault
    from labctl.lab.reservation import ForcedChange
    from labctl.probe.types import StreamTally
    from labctl.scenario.program_run import ProgramRun
    from labctl.verdict.schema import FaultResult, RunResult

__all__ = ["LossFigures", "MeasuredTraffic", "OutageFigures"]


@dataclass(frozen=True, slots=True)
class LossFigures:
    """Lost packets, of the whole traffic or of one fault.

    Attributes:
        sent: of the whole traffic, either way.
        in_flight: on the victim's links or inside it when it failed.
        convergence_loss: every other one.
        unexplained: those of ``convergence_loss`` that no action accounts for.
        doubtful: so many may be on the other side of in flight and convergence loss.
        flows_hit: flows that lost a packet.
    """

    sent: int
    in_flight: int
    convergence_loss: int
    unexplained: int
    doubtful: int
    flows_hit: int


@dataclass(frozen=True, slots=True)
class OutageFigures:
    """Outages of the flows that crossed a victim or were hit (RFC 6412).

    Attributes:
        flows: how many such; ``hit`` of them had an outage, ``open`` one that had not ended.
        p50, p95, max: nearest rank, over all these flows.
        error: plus or minus, of the longest one.
    """

    flows: int
    hit: int
    open: int
    p50: timedelta
    p95: timedelta
    max: timedelta
    error: timedelta


class MeasuredTraffic:
    """Streams of numbered packets. A context manager: it starts to send, and stops and counts at the end."""

    def __init__(
        self,
        trial: ProgramRun,
        begin: Callable[[MeasuredTraffic], Callable[[], Sequence[ForcedChange]]],
        end: Callable[[MeasuredTraffic], None],
    ) -> None:
        """Of a lab that is up; nothing is sent yet.

        Args:
            trial: that it is.
            begin: holds the lab for it; gives what others did to the lab by force.
            end: gives the lab back.
        """
        self.trial = trial
        self._begin = begin
        self._end = end
        self._changes: Callable[[], Sequence[ForcedChange]] = tuple
        self._result: JudgedResult | None = None

    def __repr__(self) -> str:
        return f"<Traffic {self.name}{', ended' if self.trial.ended else ''}>"

    @property
    def name(self) -> str:
        """As given, or made of both ends."""
        return str(self.trial.words["name"])

    def __enter__(self) -> Self:
        with signals.held():
            self._changes = self._begin(self)
            try:
                self.trial.start()
            except BaseException:
                self._end(self)
                raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        interrupted = kind is not None and issubclass(kind, KeyboardInterrupt)
        # An error that is on its way already must not be hidden by another one.
        with contextlib.suppress(LabctlError) if kind is not None else contextlib.nullcontext():
            self.stop(interrupted=interrupted)

    def stop(self, *, interrupted: bool = False) -> None:
        """Stop sending, wait for what is on its way, and count; may be called again.

        Args:
            interrupted: the user stopped it: then it is no measurement.

        Raises:
            ProbeError: it could not be counted: the result is an ERROR.
        """
        if self.trial.ended:
            return
        with signals.handled(), signals.held():
            try:
                for change in self._changes():
                    self.trial.changed(change.by, change.action, change.target)
                self.trial.stop(interrupted=interrupted)
            finally:
                self._end(self)

    def steady(self, packets: int = 0, for_: Span = "2s", within: Span = "20s") -> None:
        """Wait until no more than so many packets are lost in a window: before a fault, or after it.

        What is lost before the first such window is not judged.

        Args:
            packets: over all streams together.
            for_: length of the window.
            within: how long it is tried again with later windows.

        Raises:
            NotMet: they were.
        """
        entry = {
            "loss": "all",
            "packets": packets,
            "for": as_word(for_, "for_"),
            "within": as_word(within, "within"),
        }
        before = len(self.trial.events)
        measured = self.trial.steady(entry)
        if not measured.met:
            fresh = self.trial.events[before:]
            polls = 1 + sum(event.kind == "loss.retried" for event in fresh)
            took = as_delta(fresh[-1].t_ns - fresh[0].t_ns)
            text = f"{self.name} is not steady: {measured.why} in {for_}, after {took.total_seconds():.1f} s"
            raise NotMet(text, last=measured.values, polls=polls, took=took)

    def expect(self, kind: str, **limits: Any) -> None:  # noqa: ANN401 - checked as an entry of a scenario
        """Expect something, as ``expect`` of a scenario does: ``result()`` judges it.

        ``traffic.expect("outage", longest="50ms", quantile=0.95)``

        Args:
            kind: ``loss``, ``convergence-loss``, ``outage``, ``delay``, ``duplicated``, ``reordered``.
            limits: its keys; ``_`` stands for ``-``. ``streams`` names some of the streams.

        Raises:
            InputError: there is no such kind or key.
        """
        streams = limits.pop("streams", "all")
        words = {key.replace("_", "-"): value for key, value in limits.items()}
        self.trial.expect({kind: streams, **words})
        self._result = None

    def window(self, start: int | None = None, end: int | None = None) -> Sequence[StreamTally]:
        """What became of the packets that left in a span of a running traffic.

        Args:
            start: CLOCK_MONOTONIC, ns; the begin if not given.
            end: the same; now if not given.

        Raises:
            ActionError: the traffic has ended.
        """
        return self.trial.window(start or 0, self.trial.backend.now_ns() if end is None else end)

    def result(self) -> JudgedResult:
        """The verdict: the same object as a scenario's.

        Raises:
            ActionError: the traffic still flows.
        """
        if self._result is None:
            self._result = JudgedResult(self.trial.journal())
        return self._result

    def explain(self) -> str:
        """What was lost when, and why, as ``labctl run`` prints it."""
        return self.result().explain()

    def fault(self, step: int) -> FaultResult:
        """What the verdict says of one action.

        Raises:
            ActionError: the traffic still flows.
            ProbeError: the action did not take place.
        """
        found = [one for one in self._run().faults if one.step == step]
        if not found:
            raise ProbeError(f"{self.name}: the result says nothing of step {step + 1}")
        return found[0]

    def loss(self, during: AppliedFault | None = None) -> LossFigures:
        """Lost packets, after the steady state.

        Args:
            during: those of one fault alone.

        Raises:
            ActionError: the traffic still flows.
        """
        run = self._run()
        sent = sum(stream.sent for stream in run.streams)
        if during is None:
            streams = run.streams
            return LossFigures(
                sent,
                sum(one.in_flight for one in streams),
                sum(one.convergence_loss for one in streams),
                sum(one.unexplained for one in streams),
                sum(one.classes.doubtful for one in streams),
                sum(one.flows_hit for one in streams),
            )
        fault = self._of(during)
        hit = sum(one.hit for one in fault.streams)
        return LossFigures(sent, fault.in_flight, fault.convergence_loss, 0, fault.classes.doubtful, hit)

    def outage(self, during: AppliedFault | None = None) -> OutageFigures:
        """Outages of the flows that crossed a victim or were hit.

        Args:
            during: those of one fault alone.

        Raises:
            ActionError: the traffic still flows.
        """
        chosen = None if during is None else self._of(during).index
        rows = [row for row in self._run().outages if row.fault >= 0 and chosen in (None, row.fault)]
        values = [row.outage_ns for row in rows]
        longest = max(rows, key=lambda row: row.outage_ns, default=None)
        return OutageFigures(
            flows=len(rows),
            hit=sum(value > 0 for value in values),
            open=sum(row.open for row in rows),
            p50=as_delta(nearest_rank(values, 0.5)),
            p95=as_delta(nearest_rank(values, 0.95)),
            max=as_delta(max(values, default=0)),
            error=as_delta(longest.error_ns if longest else 0),
        )

    def require_measured(self) -> None:
        """Refuse to say anything of a measurement that lost or hid too much itself.

        Raises:
            Inconclusive: a null trial, a stalled or skipping sender, a receiver that could not keep up.
            ActionError: the traffic still flows.
        """
        run = self._run()
        why = [
            f"{fault.action} {fault.label}: {fault.unmeasured}"
            for fault in run.faults
            if fault.breaks and not fault.measured
        ]
        for stream in run.streams:
            counts = {
                "the sender skipped": stream.generator["skipped"],
                "the receiver overflowed by": stream.receiver["overflowed"],
                "this machine's kernel dropped": stream.receiver["backlog_dropped"],
            }
            why += [f"{stream.name}: {words} {count} packets" for words, count in counts.items() if count]
            why += [f"{stream.name}: nothing was sent"] if not stream.sent else []
        why += [
            f"{fault.action} {fault.label}: the sender stalled for {fault.stalled_ns / 1e6:.1f} ms"
            for fault in run.faults
            if fault.breaks and fault.stalled_ns
        ]
        if why:
            raise Inconclusive("; ".join(why))

    def _run(self) -> RunResult:
        return self.result().runs[0]

    def _of(self, fault: AppliedFault) -> FaultResult:
        for traffic, step in fault.steps:
            if traffic is self:
                return self.fault(step)
        raise ProbeError(f"{fault.done} was not done while {self.name} flowed")
