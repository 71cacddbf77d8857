"""Where the files stand that come with labctl: templates, topologies, scenarios, images.

In the source tree they stand at the top; a wheel carries them inside the package.
"""

from __future__ import annotations

import os
from pathlib import Path

from labctl.errors import InputError, Problem

__all__ = ["examples", "file_or_example", "folder"]

_SUFFIX = ".yml"


def folder(kind: str) -> Path:
    """The folder of one kind of shipped files.

    Args:
        kind: ``templates``, ``topologies``, ``scenarios`` or ``images``.

    Returns:
        An absolute path.
    """
    package = Path(__file__).resolve().parent
    inside = package / kind
    return inside if inside.is_dir() else package.parent / kind


def examples(kind: str) -> dict[str, Path]:
    """The shipped scenarios or topologies by name, sorted: the path in their folder without its suffix.

    Args:
        kind: ``topologies`` or ``scenarios``.
    """
    top = folder(kind)
    paths = sorted(top.rglob(f"*{_SUFFIX}"))
    return {path.relative_to(top).with_suffix("").as_posix(): path for path in paths}


def file_or_example(given: Path, *kinds: str) -> Path:
    """The file that a user means: one of their own, or a shipped one by its name.

    Args:
        given: a path, or the name of a shipped file. A file of the user's wins over a name.
        kinds: ``topologies`` and ``scenarios``, in the order in which names are looked up.

    Returns:
        The path as it was given, or that of the shipped file. A path with a suffix is no name: if it is
        not there, whoever reads it reports it.

    Raises:
        InputError: there is neither such a file nor such a name; with the nearest name.
    """
    if given.suffix or given.is_absolute() or (_there(given) and not given.is_dir()):
        return given
    known: dict[str, Path] = {}
    for kind in reversed(kinds):
        known.update(examples(kind))
    if path := known.get(given.as_posix()):
        return path
    if _there(given):
        return given
    from difflib import get_close_matches  # noqa: PLC0415 - only where a name is wrong

    near = get_close_matches(given.as_posix(), known, n=1, cutoff=0.5)
    hint = f"did you mean {near[0]!r}?" if near else "labctl examples lists the names"
    wanted = " or ".join({"topologies": "topology", "scenarios": "scenario"}[kind] for kind in kinds)
    raise InputError([Problem(str(given), 0, 0, f"no such file, and no shipped {wanted} of that name", hint)])


def _there(path: Path) -> bool:
    """Whether there is such a file or folder; a name that is too long for one is none."""
    return os.path.exists(path)  # noqa: PTH110 - Path.exists raises there
