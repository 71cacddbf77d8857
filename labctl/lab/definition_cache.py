"""The definition and the plan of a running lab, kept in its folder. No other module reads these files.

definition.json  the definition that runs, in a form that is fast to read
def/lab.json     the plan that it was rendered from; absent for a containerlab file of another author
"""

from __future__ import annotations

import functools
import json
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from labctl.clab.definition import Bind, Definition, NodeDefinition
from labctl.errors import LabError
from labctl.model.codec import load_lab
from labctl.model.fields import flag, items, number, pairs, text
from labctl.model.lab import Endpoint, LinkPlan

if TYPE_CHECKING:
    from labctl.lab.state import LabDir
    from labctl.model.lab import Lab

__all__ = ["definition_of", "plan_of", "save_definition"]

_FILE = "definition.json"
_FORMAT = 3
"""A definition of another format is read from its containerlab file: another labctl brought the lab up."""


def save_definition(lab: LabDir, definition: Definition) -> None:
    """Save the definition that runs."""
    lab.path.mkdir(parents=True, exist_ok=True)
    fresh = lab.path / f"{_FILE}.new"
    fresh.write_text(json.dumps({"format": _FORMAT, **asdict(definition)}, default=str))
    fresh.replace(lab.path / _FILE)


def definition_of(lab: LabDir) -> Definition:
    """The definition that runs; read from its containerlab file where none was saved.

    Raises:
        LabNotFoundError: no such lab.
        LabError: what was kept is damaged.
        InputError: nothing was kept, and the containerlab file is no longer sound.
    """
    kept = lab.path / _FILE
    try:
        status = kept.stat()
        found = _definition(kept, status.st_ino, status.st_mtime_ns, status.st_size)
    except FileNotFoundError:
        found = None
    except (OSError, ValueError, TypeError, KeyError) as error:
        raise _damaged(lab, kept, error) from error
    if found is None:
        from labctl.clab.parse import read_definition  # noqa: PLC0415 - brings YAML in

        return read_definition(Path(lab.record().definition), name=lab.name)
    return found


def plan_of(lab: LabDir) -> Lab | None:
    """The plan that the lab was rendered from; None for a containerlab file that somebody else wrote.

    Raises:
        LabNotFoundError: no such lab.
        LabError: its plan is damaged.
    """
    if Path(lab.record().definition).parent != lab.definition:
        return None
    kept = lab.definition / "lab.json"
    try:
        status = kept.stat()
        return _plan(kept, status.st_ino, status.st_mtime_ns, status.st_size)
    except (OSError, ValueError) as error:
        raise _damaged(lab, kept, error) from error


def _damaged(lab: LabDir, path: Path, error: Exception) -> LabError:
    reason = error.strerror if isinstance(error, OSError) else str(error)
    return LabError(
        f"what is kept of lab {lab.name!r} is damaged: {path}: {reason}. "
        f"Take the lab down with: labctl down {lab.name}"
    )


# Every question about a node asks for these: a file that has not changed is read once. Inode, time and
# size tell versions of a file apart.


@functools.lru_cache(maxsize=4)
def _plan(kept: Path, inode: int, mtime_ns: int, size: int) -> Lab:  # noqa: ARG001
    return load_lab(kept.read_text())


@functools.lru_cache(maxsize=4)
def _definition(kept: Path, inode: int, mtime_ns: int, size: int) -> Definition | None:  # noqa: ARG001
    data = json.loads(kept.read_text())
    if not isinstance(data, dict):
        raise ValueError("expected an object")  # noqa: TRY004 - one kind of error
    return _restored(data) if data.get("format") == _FORMAT else None


def _restored(data: dict[str, Any]) -> Definition:
    return Definition(
        name=text(data, "name"),
        path=Path(text(data, "path")),
        nodes=tuple(_node(node) for node in items(data, "nodes")),
        links=tuple(_link(link) for link in items(data, "links")),
        unsupported=tuple(items(data, "unsupported")),
        digest=text(data, "digest"),
    )


def _link(data: dict[str, Any]) -> LinkPlan:
    a, b = (Endpoint(text(end, "node"), text(end, "interface")) for end in (data["a"], data["b"]))
    mac_a, mac_b = items(data, "macs")
    return LinkPlan(number(data, "index"), a, b, number(data, "mtu"), (mac_a, mac_b))


def _node(data: dict[str, Any]) -> NodeDefinition:
    return NodeDefinition(
        name=text(data, "name"),
        kind=text(data, "kind"),
        image=text(data, "image"),
        entrypoint=tuple(items(data, "entrypoint")),
        cmd=tuple(items(data, "cmd")),
        binds=tuple(
            Bind(Path(text(bind, "source")), text(bind, "target"), flag(bind, "read_only"))
            for bind in items(data, "binds")
        ),
        env=pairs(data, "env"),
        sysctls=pairs(data, "sysctls"),
        cap_add=tuple(items(data, "cap_add")),
        exec=tuple(items(data, "exec")),
        labels=pairs(data, "labels"),
        unsupported=tuple(items(data, "unsupported")),
        place=text(data, "place"),
    )
