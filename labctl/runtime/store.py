"""The definition of a running lab, kept in its folder in a form that is read in no time."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from labctl.runtime.definition import Bind, Cable, CableEnd, Definition, NodeSpec

if TYPE_CHECKING:
    from labctl.runtime.state import LabDir

__all__ = ["definition_of", "remember"]

_FILE = "definition.json"


def remember(lab: LabDir, definition: Definition) -> None:
    """Keep the definition that runs."""
    lab.path.mkdir(parents=True, exist_ok=True)
    fresh = lab.path / f"{_FILE}.new"
    fresh.write_text(json.dumps(asdict(definition), default=str))
    fresh.replace(lab.path / _FILE)


def definition_of(lab: LabDir) -> Definition:
    """The definition that runs; read from its containerlab file where nothing was kept.

    Raises:
        LabNotFoundError: no such lab.
        InputError: its file is no longer sound.
    """
    try:
        return _restored(json.loads((lab.path / _FILE).read_text()))
    except (OSError, ValueError, KeyError, TypeError):
        from labctl.runtime.parse import read_definition  # noqa: PLC0415 - brings YAML in

        return read_definition(Path(lab.record().definition))


def _restored(data: dict[str, Any]) -> Definition:
    return Definition(
        name=data["name"],
        path=Path(data["path"]),
        nodes=tuple(_node(node) for node in data["nodes"]),
        cables=tuple(Cable(CableEnd(**c["a"]), CableEnd(**c["b"]), c["mtu"]) for c in data["cables"]),
        unsupported=tuple(data["unsupported"]),
    )


def _node(data: dict[str, Any]) -> NodeSpec:
    binds = tuple(Bind(Path(b["source"]), b["target"], b["read_only"]) for b in data["binds"])
    words = {key: tuple(data[key]) for key in ("entrypoint", "cmd", "cap_add", "exec", "unsupported")}
    return NodeSpec(**{**data, **words, "binds": binds})
