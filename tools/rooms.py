"""The picture of the rooms, drawn from the import contracts in pyproject.toml.

``python tools/rooms.py --write`` draws it anew in every page of :data:`PAGES`; without ``--write`` it is
printed. A unit test compares the pages with the contracts.
"""

from __future__ import annotations

import argparse
import re
import sys
import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

ROOT = Path(__file__).parents[1]
PAGES = ("CONTRIBUTING.md", "docs/architecture.md")
BEGIN = "<!-- rooms: drawn by tools/rooms.py from the import contracts; do not edit -->"
END = "<!-- end of rooms -->"

_LAYERS = "Arrows point down the list of rooms"
_NODES = "What runs inside nodes knows nothing of the orchestrator"
_FAKES = "No room of the product imports the fakes"


@dataclass(frozen=True, slots=True)
class Rooms:
    """What the contracts say.

    Attributes:
        layers: names of rooms, the top layer first; rooms of one layer do not import one another.
        inside: rooms that run inside nodes and import nothing of the orchestrator.
        shared: what those may import besides one another.
        fakes: rooms that no room of the product imports.
    """

    layers: tuple[tuple[str, ...], ...]
    inside: tuple[str, ...]
    shared: tuple[str, ...]
    fakes: tuple[str, ...]

    @property
    def every(self) -> frozenset[str]:
        """All rooms that some contract names."""
        return frozenset(room for group in (*self.layers, self.inside, self.fakes) for room in group)


def read_rooms(pyproject: Path) -> Rooms:
    """Read the contracts.

    Raises:
        KeyError: one of the contracts that the picture is drawn from is not there.
    """
    found = tomllib.loads(pyproject.read_text())["tool"]["importlinter"]["contracts"]
    contracts: Mapping[str, Mapping[str, Any]] = {one["name"]: one for one in found}
    layers = tuple(_short(re.split("[|:]", line)) for line in contracts[_LAYERS]["layers"])
    layered = {room for layer in layers for room in layer}
    inside = _short(contracts[_NODES]["source_modules"])
    forbidden = _short(contracts[_NODES]["forbidden_modules"])
    return Rooms(
        layers=layers,
        inside=tuple(room for room in inside if room not in layered),
        shared=tuple(room for layer in layers for room in layer if room not in forbidden),
        fakes=_short(contracts[_FAKES]["forbidden_modules"]),
    )


def _short(modules: Iterable[str]) -> tuple[str, ...]:
    return tuple(name.strip().removeprefix("labctl.") for name in modules)


def draw(rooms: Rooms) -> str:
    """The picture in Mermaid, fenced: a box a layer, an arrow for "may import everything below"."""
    lines = ["```mermaid", "flowchart TD"]
    lines += [f'    layer{place}["{" · ".join(layer)}"]' for place, layer in enumerate(rooms.layers)]
    lines += [f"    {' --> '.join(f'layer{place}' for place in range(len(rooms.layers)))}"]
    lines += ['    subgraph inside["run inside nodes"]']
    lines += [f'        node{place}["{room}"]' for place, room in enumerate(rooms.inside)]
    lines += ["    end"]
    highest = next(place for place, layer in enumerate(rooms.layers) if set(layer) & set(rooms.shared))
    lines += [f'    inside -- "of these only: {", ".join(rooms.shared)}" --> layer{highest}']
    lines += [f'    fakes["{" · ".join(rooms.fakes)}"] -. "for tests; nothing imports it" .-> layer0']
    return "\n".join([*lines, "```"])


def redrawn(page: str, picture: str) -> str:
    """A page with the picture between its two marks.

    Raises:
        ValueError: the page does not have each mark once, in order.
    """
    before, begin, rest = page.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end or BEGIN in rest or END in after:
        raise ValueError(f"wanted once, in this order: {BEGIN!r}, {END!r}")
    return f"{before}{BEGIN}\n\n{picture}\n\n{END}{after}"


def main() -> int:
    """Print the picture, or draw it in the pages."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--write", action="store_true", help=f"draw it anew in {', '.join(PAGES)}")
    picture = draw(read_rooms(ROOT / "pyproject.toml"))
    if not parser.parse_args().write:
        print(picture)
        return 0
    for name in PAGES:
        path = ROOT / name
        path.write_text(redrawn(path.read_text(), picture))
    return 0


if __name__ == "__main__":
    sys.exit(main())
