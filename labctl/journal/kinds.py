"""Every kind of line that a journal of this format holds, with its fields. Data only."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from labctl.journal import fields as f
from labctl.journal.file import FORMAT
from labctl.journal.records import (
    EFFECT,
    ERROR_CAUSES,
    EXPECTATION,
    LOSS_WINDOW,
    MEASURED,
    STREAM,
    TALLY,
    TRAITS,
    WITNESS_PLACES,
)

if TYPE_CHECKING:
    from labctl.journal.fields import JournalField

__all__ = ["KINDS", "EventKind"]


@dataclass(frozen=True, slots=True)
class EventKind:
    """One kind of line.

    Attributes:
        name: its ``kind``.
        text: when it is written, in one line.
        fields: of its ``data``.
    """

    name: str
    text: str
    fields: tuple[JournalField, ...] = ()


_NUMBER = {"type": "integer", "minimum": 0}
_TEXT = {"type": "string"}
_PLAIN = {"type": ["string", "number"]}

_LAB = f.text("lab", "its name")
_RUNTIME = f.text("runtime", "that runs it")
_NODE = (f.text("node", "its name"),)
_STREAMS = (f.texts("streams", "names of the streams"),)
_ERROR = f.text("error", "what went wrong, for people")
_STEP = f.count("step", "place in the timeline", "index")
_TRAITS = f.record("traits", "what the action does", *TRAITS)
_ACTION = (f.text("action", "what is done"), f.text("target", "as the scenario names it"))
_CONDITION = f.text("condition", "in words")
_STEADY = (
    _CONDITION,
    f.text("kind", "its key in the scenario"),
    f.text("when", "the fault phase that it stands before or after", "before", "after"),
)
_IMAGE = f.text("image", "name and tag")

_HEADER = (
    f.JournalField("format", {"const": FORMAT}, "number of the format"),
    f.record(
        "scenario",
        "what is run",
        f.text("name", "as given"),
        f.text("path", "of its file"),
        f.text("text", "the file itself"),
    ),
    f.record(
        "topology",
        "of the lab",
        f.text("path", "of its file"),
        f.text("text", "the file itself"),
        f.texts("sets", "KEY=VALUE of --set"),
    ),
    f.free("lab", "the planned lab, as in plan.json of a lab's state"),
    f.records("traffic", "every stream", *STREAM),
    f.records(
        "steps",
        "the timeline",
        f.text("text", "in words"),
        f.duration("phase_ns", "how much later than written"),
        *_ACTION,
        f.texts("nodes", "that it touches"),
        _TRAITS,
    ),
    f.records("expect", "every expectation", *EXPECTATION),
    f.by_name("machine", "kernel, processor, memory (MiB), distribution", _PLAIN),
    f.by_name("versions", "of labctl, Python, FRR, iproute2; empty where there is none", _TEXT),
    f.count("seed", "of the phases", "seed", least=None),
    f.count("run", "number in the series, from 0", "index"),
    f.count("runs", "of the series", "runs", least=1),
    f.optional(f.count("retry_of", "number of an INCONCLUSIVE run that this one repeats", "index")),
    f.optional(
        f.duration(
            "tmax_ns", "a packet later than this is lost (Tmax of RFC 7680); 1 s if not given", least=1
        )
    ),
    f.record(
        "clock",
        "both clocks, read together",
        f.moment("monotonic_ns", "CLOCK_MONOTONIC"),
        f.count("realtime_ns", "CLOCK_REALTIME", "ns since 1970"),
    ),
)

_END = (
    f.text("node", "that has the interface"),
    f.text("interface", "that faces the victim"),
    f.moment("open_ns", "recorded since; 0: not recorded"),
    f.moment("closed_ns", "recorded until; 0: not recorded"),
    f.count("frames", "probe packets recorded", "frames"),
    f.count("overrun", "frames that found no room", "frames"),
)

KINDS = (
    EventKind("run.header", "first line of each run: what is planned and expected", _HEADER),
    EventKind(
        "run.lab",
        "the lab is there",
        (
            f.optional(_RUNTIME),
            f.optional(f.flag("already_running", "it was up before")),
            f.optional(f.text("definition", "the text of the *.clab.yml that runs")),
        ),
    ),
    EventKind(
        "lab.starting",
        "a lab begins to come up",
        (_LAB, _RUNTIME, f.text("reason", "for that runtime"), f.texts("nodes", "in topology order")),
    ),
    EventKind(
        "lab.up", "every node is ready", (_LAB, _RUNTIME, f.optional(f.text("reason", "for that runtime")))
    ),
    EventKind("lab.stopping", "a lab begins to go down", (_LAB, _RUNTIME)),
    EventKind("lab.down", "nothing is left of it", (_LAB, _RUNTIME)),
    EventKind("node.started", "a node has power", _NODE),
    EventKind("node.ready", "a node is ready", _NODE),
    EventKind("node.stopped", "a node has no power", _NODE),
    EventKind("image.building", "a container image is built", (_IMAGE,)),
    EventKind("image.output", "what the build printed", (_IMAGE, f.text("line", "one line of it"))),
    EventKind("image.built", "it is there", (_IMAGE, f.number("seconds", "how long it took", "s"))),
    EventKind("traffic.started", "packets flow", _STREAMS),
    EventKind("traffic.stopped", "the last packet has left, and those on their way had their time", _STREAMS),
    EventKind("steady.started", "a condition of the steady state is waited for", _STEADY),
    EventKind("steady.met", "it holds", (*_STEADY, MEASURED)),
    EventKind("steady.missed", "it did not hold in time", (*_STEADY, MEASURED)),
    EventKind("loss.retried", "a loss window missed and another follows", LOSS_WINDOW),
    EventKind(
        "timeline.started",
        "its moment is the zero of the timeline",
        (f.records("streams", "that flow", *STREAM),),
    ),
    EventKind("condition.started", "a step waits for a condition", (_CONDITION, _STEP)),
    EventKind("condition.met", "it holds", (_CONDITION, _STEP, MEASURED)),
    EventKind("condition.missed", "it did not hold in time", (_CONDITION, _STEP, MEASURED)),
    EventKind(
        "action.started",
        "a step begins",
        (
            _STEP,
            *_ACTION,
            f.text("mode", "how power is lost, which process, who asks, or a command of the overlay"),
            _TRAITS,
            f.moment("due_ns", "when it should begin"),
            f.duration("phase_ns", "how much later than written"),
        ),
    ),
    EventKind("action.done", "a step took effect", (_STEP, *EFFECT)),
    EventKind("action.failed", "a step could not be done", (_STEP, *_ACTION, _ERROR)),
    EventKind("heal.started", "a fault in force is taken back", _ACTION),
    EventKind("heal.done", "it is", (*EFFECT, f.text("label", "target as the scenario names it"), _TRAITS)),
    EventKind("heal.failed", "it is not", (*(f.optional(field) for field in _ACTION), _ERROR)),
    EventKind(
        "witness",
        "which flows were seen crossing a victim shortly before the fault",
        (
            _STEP,
            f.text("by", "the victim's own interfaces, or what enters the node", *WITNESS_PLACES),
            f.optional(f.text("node", "of by: node")),
            f.optional(f.duration("watched_ns", "for how long")),
            f.optional(f.moment("since_ns", "watched since")),
            f.optional(f.moment("until_ns", "watched until")),
            f.count("dropped", "packets it could not keep"),
            f.by_name("flows", "numbers of the flows, by stream", {"type": "array", "items": _NUMBER}),
            f.by_name("delay_p99_ns", "one-way delay of the second before, by stream", _NUMBER, "ns"),
        ),
    ),
    EventKind("witness.failed", "nobody saw which flows cross", (_STEP, _ERROR)),
    EventKind(
        "evidence",
        "what passed the links of a victim around a fault",
        (
            _STEP,
            f.records("ends", "the far end of each of the victim's links; of a link both", *_END),
            f.duration("transit_p99_ns", "through the victim in the second before; 0: unknown"),
            f.duration("transit_max_ns", "the same, maximum"),
            f.by_name(
                "lost",
                "by stream: [flow, seq, leg (1: ICMP reply), end, left_ns, back_ns (0: never)] of each"
                " lost packet that was put onto a link of the victim",
                {"type": "array", "items": f.row(*[_NUMBER] * 6)},
            ),
        ),
    ),
    EventKind("tally", "what was counted of one stream over all the time that traffic flowed", TALLY),
    EventKind("tally.failed", "it could not be counted", (_ERROR,)),
    EventKind(
        "node.event",
        "what a program in a node wrote of itself (collect); its moment is when it happened",
        (*_NODE, f.text("kind", "the program's word"), f.free("data", "the program's own")),
    ),
    EventKind(
        "collect.failed", "a file of a node could not be read", (*_NODE, f.text("file", "its path"), _ERROR)
    ),
    EventKind(
        "lab.changed",
        "somebody else changed the lab during the run: an error",
        (f.text("by", "who"), *_ACTION),
    ),
    EventKind("logs.saved", "the nodes' logs are written", (f.text("folder", "beside the journal"),)),
    EventKind("logs.failed", "they are not", (_ERROR,)),
    EventKind(
        "run.error",
        "the run could not be carried out",
        (_ERROR, f.text("cause", "what failed", *ERROR_CAUSES)),
    ),
    EventKind("run.interrupted", "the user stopped it"),
    EventKind("run.done", "the run went through"),
)
"""In the order in which they are documented."""
