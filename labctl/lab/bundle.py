"""What a bug report about a running lab needs: files, bounded, without what is known to be secret.

A value is left out where its name says that it is a secret (``password: ...``, ``token=...``), in every
file: definitions, configurations and logs alike. What a secret without such a name is, nobody can know.
"""

from __future__ import annotations

import gzip
import io
import json
import re
import tarfile
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from labctl.errors import LabctlError
from labctl.lab.runtime import NodeStatus

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from labctl.lab.runtime import Runtime
    from labctl.lab.state import LabDir

__all__ = ["LOG_BYTES", "archive", "bundle_files", "without_secrets"]

LOG_BYTES = 1 << 20
"""Of a log, its end; of a file, its begin; of what a command prints, its begin."""

_ANSWER_S = 5
_QUESTIONS = (
    ("ip", "-s", "-d", "link"),
    ("ip", "address"),
    ("ip", "route", "show", "table", "all"),
    ("ip", "-6", "route", "show", "table", "all"),
    ("ip", "neighbour"),
    ("ss", "-nitu"),
    ("vtysh", "-c", "show version", "-c", "show bgp summary", "-c", "show bfd peers brief"),
)
# Every repetition has a bound: a node may write a line of any length.
_SECRET = re.compile(
    rb"(?i)((?:passw(?:or)?d|passphrase|secret|token|api[-_]?key|private[-_]?key)"
    rb"[\w.-]{0,40}[\"']?[ \t]{0,8}[:= \t][ \t]{0,8})[^\s:=][^\n]*"
)


def without_secrets(content: bytes) -> bytes:
    """The same, the rest of a line left out after a name that stands before secrets."""
    return _SECRET.sub(rb"\1<left out>", content)


def bundle_files(runtime: Runtime, lab: LabDir, about: Mapping[str, Any]) -> dict[str, bytes]:
    """Everything of a lab that helps to find a fault, by path in the bundle.

    Args:
        runtime: that runs the lab.
        lab: the lab, as it is now; nothing in it is changed.
        about: what else is known: the machine, versions, faults in force.

    Raises:
        LabNotFoundError: no such lab.
    """
    states = runtime.states(lab)
    nodes = {node: {"status": state.status.value, "pid": state.init_pid} for node, state in states.items()}
    record = {**about, "lab": asdict(lab.record()), "nodes": nodes}
    files = {"about.json": json.dumps(record, indent=1, default=str).encode() + b"\n"}
    for path in sorted(lab.definition.rglob("*")):
        if path.is_file() and not path.is_symlink():
            files[f"definition/{path.relative_to(lab.definition)}"] = _begin(path)
    for node, state in states.items():
        files[f"nodes/{node}.log"] = _log(runtime, lab, node)
        if state.status is NodeStatus.RUNNING:
            files[f"nodes/{node}.txt"] = b"\n".join(_answers(runtime, lab, node))
    return {name: without_secrets(content) for name, content in files.items()}


def archive(name: str, files: Mapping[str, bytes]) -> bytes:
    """The files in one folder, as a ``.tar.gz``; the same files give the same bytes."""
    packed = io.BytesIO()
    with (
        gzip.GzipFile(fileobj=packed, mode="wb", mtime=0) as zipped,
        tarfile.open(fileobj=zipped, mode="w") as tar,
    ):
        for path, content in files.items():
            entry = tarfile.TarInfo(f"{name}/{path}")
            entry.size, entry.mode = len(content), 0o644
            tar.addfile(entry, io.BytesIO(content))
    return packed.getvalue()


def _begin(path: Path) -> bytes:
    with path.open("rb") as file:
        return file.read(LOG_BYTES)


def _log(runtime: Runtime, lab: LabDir, node: str) -> bytes:
    try:
        return runtime.logs(lab, node)[-LOG_BYTES:]
    except LabctlError as error:
        return f"no log: {error}\n".encode()


def _answers(runtime: Runtime, lab: LabDir, node: str) -> Iterator[bytes]:
    for words in _QUESTIONS:
        yield f"$ {' '.join(words)}".encode()
        try:
            done = runtime.exec(lab, node, words, timeout_s=_ANSWER_S)
        except LabctlError as error:
            yield f"{error}\n".encode()
        else:
            yield (done.stdout + done.stderr)[:LOG_BYTES]
