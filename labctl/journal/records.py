"""The objects that several kinds of lines carry: streams, tallies, effects, expectations. Data only."""

from __future__ import annotations

from labctl.journal import fields as f

__all__ = [
    "EFFECT",
    "ERROR_CAUSES",
    "EXPECTATION",
    "EXPECTATION_KINDS",
    "INTERNAL",
    "LOSS_WINDOW",
    "MEASURED",
    "STREAM",
    "TALLY",
    "TRAITS",
    "WITNESS_PLACES",
]

EXPECTATION_KINDS = ("loss", "convergence-loss", "outage", "duplicated", "reordered", "delay", "carries")
"""What an expectation may be about."""

WITNESS_PLACES = ("interfaces", "node")
"""Where a witness watched: the victim's own interfaces, both directions, or what enters the node."""

INTERNAL = "internal"
"""The cause of an error that is a bug of labctl."""

ERROR_CAUSES = ("input", "host", "lab", "render", "node", "action", "probe", "labctl", INTERNAL)
"""What failed when a run could not be carried out: ``cause`` of :mod:`labctl.errors`."""

_NUMBER = {"type": "integer", "minimum": 0}
_PLAIN = {"type": ["string", "number", "boolean"]}

TRAITS = (
    f.flag("breaks", "it takes something away"),
    f.flag("silent", "the peers keep their carrier"),
    f.flag("passes", "what it takes away comes back by itself"),
)

STREAM = (
    f.text("name", "unique in the scenario"),
    f.text("source", "node that sends"),
    f.text("destination", "node that receives"),
    f.text("source_address", "IPv4 or IPv6 address"),
    f.text("destination_address", "IPv4 or IPv6 address of the same family"),
    f.text("proto", "icmp: echo, whose reply is counted", "udp", "icmp"),
    f.number("rate_pps", "of all flows together", "packets/s"),
    f.count("flows", "5-tuples, which take turns", "flows", least=1),
    f.count("size", "of the IP packet", "bytes"),
    f.texts("destinations", "of icmp: an address a flow; empty where all have the stream's"),
)

_PERIOD = (
    f.count("first_seq", "first lost sequence number of the flow", "sequence number"),
    f.count("count", "lost in a row", least=1),
    f.moment("start_ns", "departure of the first lost packet"),
    f.moment("end_ns", "departure of the last lost packet"),
    f.duration("outage_ns", "loss-derived outage: arrival before to arrival after, less one packet spacing"),
    f.duration("error_ns", "Packet Sampling Interval, ±"),
    f.flag("open", "it had not ended when the stream did"),
    f.items(
        "sent_ns", "departures of the lost packets, at most the first 1000", _NUMBER, "ns of CLOCK_MONOTONIC"
    ),
)

_FLOW = (
    f.count("flow", "number in the stream", "index"),
    f.count("source_port", "UDP port, or the ICMP identifier", "port"),
    f.count("destination_port", "UDP port", "port"),
    f.count("sent", "packets sent"),
    f.count("received", "packets that arrived"),
    f.count("lost", "packets that did not arrive"),
    f.count("duplicated", "copies that arrived besides (RFC 5560)"),
    f.count("reordered", "packets that arrived late in their flow (RFC 4737)"),
    f.records("losses", "loss periods (RFC 3357)", *_PERIOD),
    f.optional(
        f.items(
            "gaps",
            "[from, to] between arrivals, longer than two packet spacings; null: not looked at",
            f.span(),
            "ns of CLOCK_MONOTONIC",
        ),
        null=True,
    ),
    f.flag("open_gap", "the last gap reaches to the end"),
)

_GENERATOR = (
    f.count("due", "what the schedule asked for"),
    f.count("refused", "what the kernel refused to take: sent and lost"),
    f.count("skipped", "due and never tried: the generator's own loss"),
    f.duration("late_p50_ns", "departure behind schedule, median"),
    f.duration("late_p99_ns", "the same, 99th percentile"),
    f.duration("late_max_ns", "the same, maximum"),
    f.items("pauses", "[start, length] of each stall of the sender longer than 5 ms", f.span(), "ns"),
    f.items(
        "refusals", "[errno name, packets] of what was refused", f.row({"type": "string"}, _NUMBER), "packets"
    ),
    f.text("priority", "scheduling that the sender was granted"),
)

_RECEIVER = (
    f.count("overflowed", "what the receiver's socket could not keep"),
    f.count("foreign", "what came and is not of this stream"),
    f.count("backlog_dropped", "what this machine's kernel dropped between interfaces, all streams together"),
    f.duration(
        "clock_drift_ns", "how far the clock of time stamps moved against CLOCK_MONOTONIC", least=None
    ),
)

TALLY = (
    f.record("stream", "as planned", *STREAM),
    f.moment("start_ns", "begin of what is counted"),
    f.moment("end_ns", "end of what is counted"),
    f.count("sent", "packets sent"),
    f.count("received", "packets that arrived within Tmax"),
    f.count("lost", "packets that did not"),
    f.count("duplicated", "copies that arrived besides (RFC 5560)"),
    f.count("reordered", "packets that arrived late in their flow (RFC 4737)"),
    f.duration("delay_p50_ns", "one-way delay (RFC 7679), median; 0 if nothing arrived"),
    f.duration("delay_p99_ns", "the same, 99th percentile"),
    f.duration("delay_max_ns", "the same, maximum"),
    f.record("generator", "how well the sender kept its schedule", *_GENERATOR),
    f.record("receiver", "what the measurement itself lost", *_RECEIVER),
    f.records("flows", "each flow", *_FLOW),
    f.text("departures", "digest of all departures after the first; empty where none was made"),
    f.optional(
        f.count("late", "packets that arrived after Tmax and count as lost; null: not looked at"), null=True
    ),
)

EFFECT = (
    f.text("action", "what was done"),
    f.text("target", "node, or both ends of a link with their interfaces"),
    f.moment("requested_ns", "when it was asked for"),
    f.moment("first_ns", "first carrier change at a peer; done_ns where there is none"),
    f.moment("last_ns", "last carrier change at a peer"),
    f.moment("done_ns", "when it was over"),
    f.records(
        "carriers",
        "each carrier change that was awaited",
        f.text("node", "the peer"),
        f.text("interface", "of the peer"),
        f.moment("t_ns", "when the peer's kernel reported it; 0: never"),
    ),
    f.by_name(
        "detail",
        "not_before_ns: it took no effect before; pull_ns: how long the kernel took; already: nothing to do;"
        " others by action",
        _PLAIN,
    ),
)

EXPECTATION = (
    f.text("kind", "what it is about", *EXPECTATION_KINDS),
    f.texts("streams", "that it is about, named in full"),
    f.count("packets", "at most so many in a run"),
    f.optional(f.optional(f.count("at_least", "so many must be lost in a run; null: not asked"), null=True)),
    f.duration("longest_ns", "outages and delays: no longer than this"),
    f.number("quantile", "for this share of the flows or packets", "share"),
    f.number("bound", "share of fail-overs that may miss it, with 95 % confidence; 0: not asked", "share"),
    f.text("text", "as the user wrote it"),
    f.flag("off_path", "of the flows that do not cross what is taken away"),
)

_DELAYS = f.by_name("delay_p99_ns", "one-way delay by stream, 99th percentile", _NUMBER, "ns")

LOSS_WINDOW = (
    f.count("sent", "packets sent in the window"),
    f.count("lost", "of these, lost"),
    f.moment("from_ns", "begin of the window"),
    f.moment("to_ns", "end of the window"),
    _DELAYS,
    f.optional(f.texts("silent", "streams that sent nothing")),
)

MEASURED = f.record(
    "measured",
    "what the wait measured; what it holds depends on the condition",
    f.optional(f.duration("took_ns", "how long it took")),
    f.optional(f.by_name("missing", "what is missing, by node", {"type": "string"})),
    f.optional(f.count("paths", "live next hops", "paths")),
    f.optional(f.duration("answer_ns", "time to first reply")),
    *(f.optional(field) for field in LOSS_WINDOW),
)
