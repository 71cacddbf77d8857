"""The scenario file as pydantic sees it: one model an entry, and the JSON Schema made of them.

These models know nothing of a topology; :mod:`labctl.scenario.check` does that.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field, IPvAnyAddress, model_validator

from labctl.document.entries import Duration, Entry, Name
from labctl.document.kinds import FlatEntry, flat_model
from labctl.scenario.kinds.conditions_known import ConditionEntry
from labctl.scenario.kinds.registry import ACTIONS
from labctl.verdict.expectations import EXPECTATIONS

__all__ = [
    "CollectEntry",
    "ConditionEntry",
    "ExpectEntry",
    "ScenarioFile",
    "StepEntry",
    "StepMoment",
    "TrafficEntry",
    "json_schema",
]


class TrafficEntry(Entry):
    """One stream in one direction, or one in each."""

    name: Name
    from_: Annotated[Name, Field(alias="from", description="node that sends")]
    to: Annotated[Name, Field(description="node that receives")]
    proto: Literal["udp", "icmp"] = "udp"
    rate: Annotated[float, Field(gt=0, le=2_000_000, description="packets a second, all flows together")] = (
        1000
    )
    flows: Annotated[int, Field(ge=1, le=4096, description="number of 5-tuples")] = 1
    size: Annotated[int, Field(ge=64, le=9000, description="bytes of IP packet")] = 128
    both: Annotated[
        bool, Field(description="a second stream in the other direction: NAME-there and NAME-back")
    ] = False
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
        if self.proto != "icmp" or self.family == "both" or self.both:
            raise ValueError("addresses need proto icmp, one family and one direction")
        if "flows" in self.model_fields_set:
            raise ValueError("addresses say how many flows there are: leave out flows")
        return self


class CollectEntry(Entry):
    """A file of JSON lines in a node, taken into the journal."""

    node: Annotated[Name, Field(description="node that writes it")]
    file: Annotated[str, Field(pattern="^/", description="its absolute path in the node")]


class StepMoment(FlatEntry):
    """When a step of the timeline is done, and how long what it takes away stays away."""

    at: Annotated[Duration | None, Field(description="moment after the zero of the timeline")] = None
    after: Annotated[ConditionEntry | None, Field(description="a condition to wait for")] = None  # type: ignore[valid-type] # made from the kinds at run time
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
        list[ConditionEntry],  # type: ignore[valid-type] # as above
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
