"""The container images of labctl: what there is to build, what the engine holds, and the build.

Every image is a folder under images/ with a Dockerfile; its tag is labctl's version. They are built
over the host's own network: an engine that has no bridge or no way through NAT builds them too.
"""

from __future__ import annotations

import contextlib
import io
import os
import re
import tarfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

import labctl
from labctl import __version__
from labctl.errors import HostError, LabctlError
from labctl.events import Event
from labctl.runtime.containerlab.docker import Engine
from labctl.shipped import folder

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from labctl.events import Listener

__all__ = ["BASE_IMAGE", "Image", "build", "names", "reference", "shipped"]

BASE_IMAGE = "debian:bookworm-slim"
BUILD_TIMEOUT_S = 1800

_COLOUR = re.compile(r"\x1b\[[0-9;]*m")
_PROXIES = ("http_proxy", "https_proxy", "no_proxy", "HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY")
_NO_MIRROR = (
    "Temporary failure resolving",
    "Could not connect to",
    "Unable to connect to",
    "Connection failed",
)


@dataclass(frozen=True, slots=True)
class Image:
    """One of labctl's images.

    Attributes:
        name: of its folder, such as ``router``.
        reference: as a definition names it.
        id: the engine's; empty if it has not been built.
        size: bytes; 0 if it has not been built.
        created: moment in text, as the engine gives it; empty if it has not been built.
    """

    name: str
    reference: str
    id: str = ""
    size: int = 0
    created: str = ""

    @property
    def built(self) -> bool:
        """Whether the engine holds it."""
        return bool(self.id)


def names() -> tuple[str, ...]:
    """Every image that labctl can build, by name."""
    return tuple(sorted(path.parent.name for path in folder("images").glob("*/Dockerfile")))


def reference(name: str) -> str:
    """What a definition calls the image of that name."""
    return f"labctl/{name}:{__version__}"


def shipped(engine: Engine | None = None) -> tuple[Image, ...]:
    """Every image, with what the engine holds of it.

    Raises:
        HostError: no engine answers.
    """
    engine = engine or Engine()
    return tuple(_inspected(engine, name) for name in names())


def _inspected(engine: Engine, name: str) -> Image:
    facts = engine.image(reference(name)) or {}
    return Image(
        name,
        reference(name),
        facts.get("Id", ""),
        int(facts.get("Size", 0)),
        facts.get("Created", ""),
    )


def build(
    wanted: Sequence[str], listen: Listener, engine: Engine | None = None, *, base: str = BASE_IMAGE
) -> tuple[Image, ...]:
    """Build images, one after the other, so that the layers they share are made once.

    Args:
        wanted: names; empty for all.
        listen: gets ``image.building``, ``image.output`` (``line``) and ``image.built`` (``seconds``).
        engine: to build with; the one of ``$DOCKER_HOST`` if None.
        base: image that they are built on, of a Debian or what descends from one.

    Raises:
        HostError: a name that is none, no engine, or a build that failed; the message says why.
    """
    unknown = sorted(set(wanted) - set(names()))
    if unknown:
        raise HostError(f"no image named {unknown[0]!r}: there is {', '.join(names())}")
    engine = engine or Engine()
    engine.version()
    for name in wanted or names():
        started = time.monotonic()
        listen(Event("image.building", data={"image": reference(name)}))
        _build(engine, name, base, listen)
        seconds = round(time.monotonic() - started, 1)
        listen(Event("image.built", data={"image": reference(name), "seconds": seconds}))
    return tuple(_inspected(engine, name) for name in wanted or names())


def _build(engine: Engine, name: str, base: str, listen: Listener) -> None:
    output: list[str] = []
    for line in _output(engine, _context(name), reference(name), base):
        output.append(line)
        listen(Event("image.output", data={"image": reference(name), "line": line}))
        if line.startswith("error: "):
            raise HostError(_failure(engine, name, base, output))


def _context(name: str) -> BinaryIO:
    """What a Dockerfile can copy from: its own folder, and labctl's package as ``labctl/``.

    Times and owners are left out, so that the same files are the same layer on every machine.
    """

    def plain(entry: tarfile.TarInfo) -> tarfile.TarInfo | None:
        if "__pycache__" in entry.name:
            return None
        entry.mtime = entry.uid = entry.gid = 0
        entry.uname = entry.gname = ""
        return entry

    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode="w") as tar:
        tar.add(folder("images") / name, arcname=".", filter=plain)
        tar.add(Path(labctl.__file__).parent, arcname="labctl", filter=plain)
    file.seek(0)
    return file


def _output(engine: Engine, context: BinaryIO, tag: str, base: str) -> Iterator[str]:
    """Every line that the build writes; one that begins with ``error:`` ends a failed one."""
    import docker  # noqa: PLC0415 - takes a tenth of a second to import
    from docker.errors import DockerException  # noqa: PLC0415

    arguments = {key: os.environ[key] for key in _PROXIES if key in os.environ}
    try:
        client: Any = docker.APIClient(base_url=engine.http.url, timeout=BUILD_TIMEOUT_S)
        with contextlib.closing(client):
            steps = client.build(
                fileobj=context,
                custom_context=True,
                tag=tag,
                rm=True,
                forcerm=True,
                decode=True,
                network_mode="host",
                buildargs={**arguments, "BASE": base},
            )
            yield from _lines(steps)
    except (DockerException, OSError) as error:
        yield f"error: {error}"


def _lines(steps: Iterable[dict[str, Any]]) -> Iterator[str]:
    """Whole lines: the engine sends what a program writes in pieces, stderr coloured."""
    rest = ""
    for step in steps:
        *lines, rest = (rest + _COLOUR.sub("", str(step.get("stream", "")))).split("\n")
        yield from (line.rstrip() for line in lines if line.strip())
        if "error" in step:
            yield f"error: {step['error']}"


def _failure(engine: Engine, name: str, base: str, output: Sequence[str]) -> str:
    text = "\n".join(output)
    hint = ""
    if any(sign in text for sign in _NO_MIRROR):
        hint = "\nthe engine cannot reach the distribution's package mirror over this host's network"
    with contextlib.suppress(LabctlError):
        if engine.image(base) is None:
            hint = (
                f"\nthe base image {base} is not there and cannot be pulled: pull it where there is "
                "a registry, or tools/ci/engine base builds it from the distribution's packages"
            )
    last = "\n".join(f"  {line}" for line in output[-8:])
    return f"image {reference(name)} could not be built:\n{last}{hint}"
