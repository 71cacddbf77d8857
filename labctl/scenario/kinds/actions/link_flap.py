"""``link-flap``: a link loses its carrier for a very short time, several times."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated

from pydantic import Field, model_validator

from labctl.document.durations import format_duration
from labctl.document.entries import Duration, Entry
from labctl.fault.flap import flap_link
from labctl.scenario.kinds.action import Action, ActionKind
from labctl.scenario.kinds.targets import LinkTargets

if TYPE_CHECKING:
    from labctl.events import Listener
    from labctl.fault.types import Effect
    from labctl.scenario.kinds.action import LabInUse

__all__ = ["KIND", "Flap"]

_LONGEST_NS = 60_000_000_000


class FlappingLink(Entry):
    """A link, and how it flaps."""

    link: Annotated[LinkTargets, Field(description="links that flap")]
    down: Annotated[Duration, Field(description="how long carrier is away; 0 for as short as the kernel can")]
    times: Annotated[int, Field(ge=1, le=1000, description="how often; 1")] = 1
    every: Annotated[Duration | None, Field(description="from one loss of carrier to the next; 1s")] = None

    @model_validator(mode="after")
    def _fits(self) -> FlappingLink:
        every = 1_000_000_000 if self.every is None else self.every
        if self.times > 1 and every <= self.down:
            raise ValueError("every was expected to be longer than down")
        if every * (self.times - 1) + self.down > _LONGEST_NS:
            raise ValueError("the flaps were expected to end within 60 s")
        return self


class LinkFlapEntry(Entry):
    """``link-flap`` as a user writes it."""

    flap: Annotated[FlappingLink, Field(alias="link-flap", description="a link that flaps")]


@dataclass(frozen=True, slots=True)
class Flap:
    """How long carrier is away, how often, and from one loss to the next."""

    down_ns: int
    times: int
    every_ns: int

    def __str__(self) -> str:
        once = f"down for {format_duration(self.down_ns)}"
        often = f", {self.times} times, every {format_duration(self.every_ns)}"
        return once if self.times == 1 else once + often


def _read(entry: LinkFlapEntry) -> tuple[Action[Flap], ...]:
    wanted = entry.flap
    params = Flap(wanted.down, wanted.times, 1_000_000_000 if wanted.every is None else wanted.every)
    return tuple(Action(KIND, link, params) for link in wanted.link)


def _act(lab: LabInUse, action: Action[Flap], listen: Listener) -> Effect:
    a, b = action.target
    flap = action.params
    return flap_link(
        lab.runtime, lab.folder, a, b, listen, down_ns=flap.down_ns, times=flap.times, every_ns=flap.every_ns
    )


KIND: ActionKind[Flap] = ActionKind(
    name="link-flap",
    doc="the link loses its carrier for `down`, `times` times (1), one `every` second (1s). The far "
    "end's own count of lost carriers must show it, else the run is an ERROR. None of its losses "
    "is excused as in flight",
    example="{link-flap: {link: [r1, gw1], down: 700us, times: 5, every: 1s}}",
    entry=LinkFlapEntry,
    read=_read,
    act=_act,
    on_link=True,
    # Whichever of the flaps a packet was lost at: none is excused as in flight.
    silent=lambda _params: True,
    passing=True,
)
