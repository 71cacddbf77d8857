"""Where roles are looked for: the user's template folders, and ours below them."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

from labctl import shipped
from labctl.document.hints import nearest
from labctl.errors import InputError, Problem

if TYPE_CHECKING:
    from collections.abc import Sequence

    from labctl.document.document import Document

__all__ = ["inside", "shipped_templates", "template_folders"]


def shipped_templates() -> Path:
    """The template folder that comes with labctl."""
    return shipped.folder("templates")


def inside(path: Path, folder: Path) -> bool:
    """Whether a file lies in a folder, wherever symbolic links lead: a role is somebody else's file."""
    return path.resolve().is_relative_to(folder.resolve())


def template_folders(document: Document, given: Sequence[Path] = ()) -> tuple[Path, ...]:
    """The user's template folders, absolute, the first on top.

    Args:
        document: a topology; its key ``templates`` names folders from where the file itself is.
        given: further ones, after ``--templates``; they lie over those.

    Returns:
        Folders that are there.

    Raises:
        InputError: one that is not.
    """
    problems = [
        Problem(f"--templates {folder}", 0, 0, "there is no such folder")
        for folder in given
        if not folder.is_dir()
    ]
    named = document.data.get("templates") if isinstance(document.data, dict) else None
    # What is neither is complained of with the rest of the file's shape.
    names = [named] if isinstance(named, str) else named if isinstance(named, list) else []
    beside = Path(document.file).resolve().parent
    folders = list(given)
    for index, name in enumerate(names):
        if not isinstance(name, str):
            continue
        folder = beside / name
        if not os.path.isdir(folder):  # noqa: PTH112 - says no to a name that is too long
            place = ("templates",) if isinstance(named, str) else ("templates", index)
            neighbours = [each.name for each in folder.parent.glob("*/")]
            problems.append(
                document.problem(place, f"there is no folder {name!r}", nearest(folder.name, neighbours))
            )
        folders.append(folder)
    if problems:
        raise InputError(problems)
    return tuple(folder.resolve() for folder in folders)
