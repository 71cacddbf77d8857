"""The scenario file as pydantic sees it: one model an entry, and the JSON Schema made of them.

These models know nothing of a topology; :mod:`labctl.scenario.check` does that.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field, IPvAnyAddress, model_validator

from labctl.document.entries import Duration, Entry, Name, Names
from labctl.document.kinds import FlatEntry, flat_model
from labctl.scenario.kinds.registry import ACTIONS
from labctl.verdict.expectations import EXPECTATIONS

__all__ = [
    "CollectEntry",
    "ExpectEntry",
    "ScenarioFile",
    "SteadyEntry",
    "StepEntry",
    "StepMoment",
    "TrafficEntry",
    "json_schema",
]


class TrafficEntry(Entry):
    """One stream, in one direction."""

    name: Name
    from_: Annotated[Name, Field(alias="from", description="node that sends")]
    to: Annotated[Name, Field(description="node that receives")]
    proto: Literal["udp", "icmp"] = "udp"
    rate: Annotated[float, Field(gt=0, le=2_000_000, description="packets a second, all flows together")] = (
        1000
    )
    flows: Annotated[int, Field(ge=1, le=4096, description="number of 5-tuples")] = 1
    size: Annotated[int, Field(ge=64, le=9000, description="bytes of IP packet")] = 128
    family: Annotated[Literal[4, 6, "both"], Field(description="IP version; both: a stream of each")] = 4
    addresses: Annotated[
        str | None,
        Field(
            min_length=1,
            description="icmp: a flow to each of these instead, such as 10.40.[1-{networks}].1; "
            "variables are the topology's",
        ),
    ] = None
    from_address: Annotated[
        IPvAnyAddress | None,
        Field(alias="from-address", description="address of `from` to send from, instead of its loopback's"),
    ] = None
    to_address: Annotated[
        IPvAnyAddress | None,
        Field(alias="to-address", description="address of `to` to send to, instead of its loopback's"),
    ] = None

    @model_validator(mode="after")
    def _addresses_fit(self) -> TrafficEntry:
        for address in (self.from_address, self.to_address):
            if address is not None and address.version != self.family:
                raise ValueError(f"{address} is no IPv{self.family} address: family says which is meant")
        return self

    @model_validator(mode="after")
    def _addresses_are_flows(self) -> TrafficEntry:
        if self.addresses is None:
            return self
        if self.proto != "icmp" or self.family == "both":
            raise ValueError("addresses need proto icmp and one family")
        if "flows" in self.model_fields_set:
            raise ValueError("addresses say how many flows there are: leave out flows")
        return self


class CollectEntry(Entry):
    """A file of JSON lines in a node, taken into the journal."""

    node: Annotated[Name, Field(description="node that writes it")]
    file: Annotated[str, Field(pattern="^/", description="its absolute path in the node")]


class ConditionEntry(Entry):
    """Exactly one of ready, loss, ecmp-paths, first-reply, wait; with the keys that belong to it."""

    ready: Annotated[Names | None, Field(description="nodes that must report ready")] = None
    loss: Annotated[Names | None, Field(description="streams whose loss is counted over a window")] = None
    ecmp_paths: Annotated[
        Name | None,
        Field(alias="ecmp-paths", description="node whose live next hops towards `to` are counted"),
    ] = None
    wait: Annotated[Duration | None, Field(description="wait so long")] = None
    within: Annotated[Duration | None, Field(description="how long it may take")] = None
    packets: Annotated[int | None, Field(ge=0, description="loss: at most so many")] = None
    for_: Annotated[Duration | None, Field(alias="for", description="loss: length of the window")] = None
    to: Annotated[Name | None, Field(description="the node that paths lead to, or that replies")] = None
    paths: Annotated[int | None, Field(ge=1, description="ecmp-paths: at least so many next hops")] = None
    first_reply: Annotated[
        Name | None,
        Field(alias="first-reply", description="node that must get a reply from `to`, on a flow of its own"),
    ] = None

    @model_validator(mode="after")
    def _one_condition(self) -> ConditionEntry:
        kinds = [kind for kind in _CONDITION_KEYS if getattr(self, kind) is not None]
        if len(kinds) != 1:
            keys = ", ".join(_CONDITION_KEYS).replace("_", "-")
            raise ValueError(f"exactly one of {keys} was expected, not {_list(kinds)}".replace("_", "-"))
        allowed, needed = _CONDITION_KEYS[kinds[0]]
        given = {key for key in _CONDITION_OPTIONS if getattr(self, key) is not None}
        if extra := sorted(given - set(allowed)):
            raise ValueError(f"{_list(extra)} does not belong to {_key(kinds[0])}".replace("for_", "for"))
        if lacking := [key for key in needed if key not in given]:
            raise ValueError(f"{_key(kinds[0])} needs {_list(lacking)}".replace("for_", "for"))
        return self


_CONDITION_KEYS: dict[str, tuple[tuple[str, ...], tuple[str, ...]]] = {
    "ready": (("within",), ("within",)),
    "loss": (("packets", "for_", "within"), ("for_",)),
    "ecmp_paths": (("to", "paths", "within"), ("to", "paths", "within")),
    "first_reply": (("to", "within"), ("to", "within")),
    "wait": ((), ()),
}
_CONDITION_OPTIONS = ("within", "packets", "for_", "to", "paths")

SteadyEntry = ConditionEntry


class StepMoment(FlatEntry):
    """When a step of the timeline is done, and how long what it takes away stays away."""

    at: Annotated[Duration | None, Field(description="moment after the zero of the timeline")] = None
    after: Annotated[ConditionEntry | None, Field(description="a condition to wait for")] = None
    plus: Annotated[Duration | None, Field(description="time to wait after the condition")] = None
    for_: Annotated[
        Duration | None, Field(alias="for", description="a fault is taken back after so long")
    ] = None
    stagger: Annotated[
        Duration | None, Field(description="time from one target to the next, if there are several")
    ] = None

    @model_validator(mode="after")
    def _one_moment(self) -> StepMoment:
        complaints = []
        if (self.at is None) == (self.after is None):
            complaints.append("exactly one of at and after was expected")
        if self.plus is not None and self.after is None:
            complaints.append("plus belongs to after")
        if complaints:
            raise ValueError("; ".join(complaints))
        return self


StepEntry = flat_model(
    "StepEntry", f"One moment and exactly one of {', '.join(ACTIONS)}.", ACTIONS, base=StepMoment
)
"""One entry of ``timeline``: see :mod:`labctl.scenario.kinds.actions`."""

ExpectEntry = flat_model(
    "ExpectEntry", f"Exactly one of {', '.join(EXPECTATIONS)}; with its limit.", EXPECTATIONS
)
"""One entry of ``expect``: see :mod:`labctl.verdict.expectations`."""


class ScenarioFile(Entry):
    """A scenario: a topology, traffic over it, faults in time, and what is expected."""

    name: Name
    topology: Annotated[str, Field(min_length=1, description="path, relative to this file")]
    set: Annotated[
        dict[str, str | int | float | bool],
        Field(default_factory=dict, description="variables of the topology, as --set would give them"),
    ]
    traffic: Annotated[list[TrafficEntry], Field(min_length=1)]
    steady: Annotated[
        list[ConditionEntry],
        Field(
            default_factory=list, description="must hold before the first fault and after the last reversion"
        ),
    ]
    timeline: Annotated[list[StepEntry], Field(default_factory=list)]  # type: ignore[valid-type] # as expect
    settle: Annotated[
        Duration | None,
        Field(description="watched after the last step before faults in force are healed; 5s"),
    ] = None
    collect: Annotated[
        list[CollectEntry],
        Field(default_factory=list, description="events that programs in nodes wrote, for the journal"),
    ]
    expect: Annotated[list[ExpectEntry], Field(default_factory=list)]  # type: ignore[valid-type] # made from the kinds at run time


def json_schema() -> dict[str, Any]:
    """JSON Schema (draft 2020-12) of the scenario file, for editors."""
    schema = ScenarioFile.model_json_schema(by_alias=True)
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **schema, "title": "labctl scenario"}


def _list(words: list[str]) -> str:
    return ", ".join(words) or "none"


def _key(attribute: str) -> str:
    """As it is written in a file."""
    return attribute.replace("_", "-")
