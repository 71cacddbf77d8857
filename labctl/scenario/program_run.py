"""A run whose steps come one at a time from a program, in the place of a timeline that is known beforehand.

It is made of the same parts as a run of a scenario (traffic, evidence at the links, conditions, actions) and
tells the same events; a verdict is made of them by the same code.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, field, replace
from typing import TYPE_CHECKING, Any

from labctl.errors import ActionError, LabctlError
from labctl.events import Event
from labctl.scenario.kinds.action import Power
from labctl.scenario.kinds.condition import Waiting
from labctl.scenario.link_evidence import LinkEvidence
from labctl.scenario.load import scenario_of_words, text_of_words
from labctl.scenario.model import Step
from labctl.scenario.plan import Plan, PlannedStep, streams_of
from labctl.scenario.runner import count_traffic
from labctl.scenario.session import run_header
from labctl.scenario.timeline import action_started

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from labctl.events import Listener
    from labctl.fault.types import Effect
    from labctl.lab.loaded import LoadedLab
    from labctl.probe.types import StreamTally
    from labctl.scenario.backend import LabBackend, RunningTraffic
    from labctl.scenario.kinds.action import Action
    from labctl.scenario.kinds.condition import Measured

__all__ = ["ProgramRun"]

_OPENING_NS = 500_000_000
"""Links whose record has just begun are left alone so long more: for the first reading of their rings."""

_TO_MS = 1_000_000


@dataclass
class ProgramRun:
    """One run of traffic over a lab, while somebody else decides what is done to the lab.

    Attributes:
        backend: the lab.
        loaded: the same, as planned.
        words: ``name``, ``traffic`` and ``expect`` as in a scenario.
        about: of the lab, for the journal.
        listen: told of everything besides.
        by: what the caller is called in problems.
        events: everything since the traffic began; the header is made when it is asked for.
        ended: nothing flows any more.
    """

    backend: LabBackend
    loaded: LoadedLab
    words: Mapping[str, Any]
    about: Mapping[str, Any]
    listen: Listener
    by: str = "traffic"
    events: list[Event] = field(default_factory=list)
    ended: bool = False
    _said: list[dict[str, Any]] = field(default_factory=list)
    _steps: list[PlannedStep] = field(default_factory=list)
    _dark: dict[str, None] = field(default_factory=dict)
    _traffic: RunningTraffic | None = None
    _links: LinkEvidence | None = None
    _start_ns: int = 0
    _zero_ns: int = 0

    def __post_init__(self) -> None:
        self._scenario = scenario_of_words(self.words, self.loaded.lab, self.by)
        self.streams = streams_of(self._scenario, self.loaded.lab)

    def start(self) -> None:
        """Begin to send.

        Raises:
            ProbeError: it cannot be sent or received at all.
        """
        self._start_ns = self.backend.now_ns()
        self._traffic = self.backend.start_traffic(self.streams)
        self._tell("traffic.started", {"streams": [stream.name for stream in self.streams]})
        self._links = LinkEvidence(self.backend, self._traffic, self.streams, self._tell)

    def expect(self, words: Mapping[str, Any]) -> None:
        """Expect something more of it, as an entry of ``expect`` in a scenario says it.

        Raises:
            InputError: it is no such entry.
        """
        words = {**self.words, "expect": [*self.words.get("expect", ()), words]}
        self._scenario = scenario_of_words(words, self.loaded.lab, self.by)
        self.words = words

    def steady(self, words: Mapping[str, Any]) -> Measured:
        """Wait for a condition of the steady state. The timeline begins where the first one ends.

        Args:
            words: as an entry of ``steady`` in a scenario.

        Raises:
            InputError: it is no such entry.
        """
        checked = scenario_of_words({**self.words, "steady": [words]}, self.loaded.lab, self.by)
        (condition,) = checked.steady
        about = {
            "condition": str(condition),
            "kind": condition.kind,
            "when": "after" if self._steps else "before",
        }
        self._tell("steady.started", about)
        retried = lambda values: self._tell("loss.retried", values)  # noqa: E731 - as the runner does
        measured = condition.wait(Waiting(self.backend, self._traffic, lambda: self._dark, retried))
        self._tell("steady.met" if measured.met else "steady.missed", {**about, "measured": measured.values})
        if measured.met and not self._steps and not self._zero_ns:
            self._begin(self.backend.now_ns(), len(self.events))
        return measured

    def before(self, action: Action[Any], said: Mapping[str, Any]) -> PlannedStep:
        """An action is about to be done: its victim's links are recorded from here on.

        The first fault of each victim waits until they have been recorded long enough to say which flows
        cross it.

        Args:
            action: that will be done.
            said: its entry in a timeline, without the moment.
        """
        self._begin_at_start()
        step = Step(len(self._steps), action)
        assert self._links is not None  # noqa: S101 - for the type checker: traffic flows
        if self._links.unwatched(step):
            self._links.start([step])
            self.backend.sleep_until(self.backend.now_ns() + self._links.span_ns + _OPENING_NS)
        now = self.backend.now_ns()
        since_zero = now - self._zero_ns
        planned = PlannedStep(replace(step, at_ns=since_zero), 0, since_zero)
        self._steps.append(planned)
        self._said.append({"at": f"{since_zero / _TO_MS:.3f}ms", **said})
        self._tell("action.started", action_started(planned, now))
        self._links.before(planned.step)
        return planned

    def after(self, planned: PlannedStep, effect: Effect) -> None:
        """The action was done."""
        action = planned.step.action
        for node in action.nodes:
            if action.power is Power.OFF:
                self._dark[node] = None
            elif action.power is Power.ON:
                self._dark.pop(node, None)
        self._tell("action.done", {"step": planned.step.index, **asdict(effect)})
        if self._links is not None:
            self._links.after(planned.step, effect)

    def failed(self, planned: PlannedStep, error: LabctlError) -> None:
        """The action could not be done."""
        action = planned.step.action
        about = {"step": planned.step.index, "action": action.name, "target": action.label}
        self._tell("action.failed", {**about, "error": str(error)})

    def changed(self, by: str, action: str, target: str) -> None:
        """Somebody else changed the lab meanwhile: then it is no measurement."""
        self._tell("lab.changed", {"by": by, "action": action, "target": target})

    def window(self, start_ns: int, end_ns: int) -> Sequence[StreamTally]:
        """What became of the packets that left in [start_ns, end_ns).

        Raises:
            ActionError: the traffic has ended.
        """
        if self._traffic is None:
            raise ActionError("the traffic has ended: only its result can be asked for")
        return self._traffic.window(start_ns, end_ns)

    def stop(self, *, interrupted: bool = False) -> None:
        """Stop sending and count; may be called again.

        Raises:
            ProbeError: it could not be counted: the result is an ERROR.
        """
        if self._traffic is None:
            return
        self._begin_at_start()
        failed = next((event for event in self.events if event.kind == "action.failed"), None)
        try:
            count_traffic(self._traffic, self._links, self._tell)
        except LabctlError as error:
            self._tell("tally.failed", {"error": str(error)})
            self._tell("run.error", {"error": str(error), "cause": error.cause})
            raise
        else:
            if interrupted:
                self._tell("run.interrupted", {})
            elif failed is not None:
                text = f"{failed.data['action']} {failed.data['target']} failed: {failed.data['error']}"
                self._tell("run.error", {"error": text, "cause": ActionError.cause})
            else:
                self._tell("run.done", {})
        finally:
            self.ended = True
            if self._links is not None:
                self._links.close()
            self._traffic.close()
            # They hold memory files of all packets, and one another.
            self._traffic = self._links = None

    def journal(self) -> tuple[Event, ...]:
        """The whole journal of the run, the header first.

        Raises:
            ActionError: the traffic still flows.
        """
        if not self.ended:
            raise ActionError("the traffic still flows: ask for its result once it was stopped")
        words = {**self.words, "timeline": self._said}
        scenario = replace(
            self._scenario,
            text=text_of_words({key: value for key, value in words.items() if value}),
            timeline=tuple(planned.step for planned in self._steps),
            path=self.loaded.source,
            topology=self.loaded.source,
        )
        plan = Plan(scenario, 0, 0, 1, tuple(self._steps), self.streams)
        header = Event("run.header", self._start_ns, run_header(plan, self.loaded))
        return (header, Event("run.lab", self._start_ns, dict(self.about)), *self.events)

    def _begin_at_start(self) -> None:
        """Without a steady state the timeline begins with the traffic."""
        if not self._zero_ns:
            self._begin(self._start_ns, 0)

    def _begin(self, zero_ns: int, place: int) -> None:
        self._zero_ns = zero_ns
        event = Event("timeline.started", zero_ns, {"streams": [asdict(stream) for stream in self.streams]})
        self.events.insert(place, event)
        self.listen(event)

    def _tell(self, kind: str, data: dict[str, Any]) -> None:
        event = Event(kind, self.backend.now_ns(), data)
        self.events.append(event)
        self.listen(event)
