"""The definition of a running lab, kept in its folder in a form that is read in no time."""

from __future__ import annotations

import functools
import json
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from labctl.clab.definition import Bind, Cable, CableEnd, Definition, NodeSpec

if TYPE_CHECKING:
    from labctl.lab.state import LabDir

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
    kept = lab.path / _FILE
    try:
        status = kept.stat()
        return _read(kept, status.st_ino, status.st_mtime_ns, status.st_size)
    except (OSError, ValueError, KeyError, TypeError):
        from labctl.clab.parse import read_definition  # noqa: PLC0415 - brings YAML in

        return read_definition(Path(lab.record().definition))


@functools.lru_cache(maxsize=4)
def _read(kept: Path, inode: int, mtime_ns: int, size: int) -> Definition:  # noqa: ARG001 - what tells versions apart
    """Every question about a node asks for its definition: a file that has not changed is read once."""
    return _restored(json.loads(kept.read_text()))


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
