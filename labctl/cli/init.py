"""labctl init: a folder with a first lab of the user's own."""

import json
import re
from pathlib import Path
from typing import Annotated

import typer

from labctl.cli.console import out
from labctl.errors import InputError, Problem

__all__ = ["command", "starter_files"]

_TARGETS = {
    "topology.yml": "topology.yml",
    "scenario.yml": "scenario.yml",
    "README.md": "README.md",
    "workflow.yml": ".github/workflows/labctl.yml",
    "settings.json": ".vscode/settings.json",
}
"""File of the package -> place in the user's folder."""

_NAME = re.compile(r"[a-z][a-z0-9-]{0,30}")


def command(
    name: Annotated[
        str,
        typer.Argument(metavar="[NAME]", help="Name of the lab, and of the folder that labctl makes."),
    ] = "my-lab",
) -> None:
    """Make a folder with a topology, a scenario, a CI workflow and editor schemas.

    The folder is ready to run; its README has the three commands. labctl overwrites no file.
    """
    if not _NAME.fullmatch(name):
        rule = "a letter, then letters, digits and dashes, all lower case, 31 at most"
        raise InputError([Problem("NAME", 0, 0, f"{name!r} cannot be the name of a lab: {rule}")])
    folder = Path(name)
    files = starter_files(name)
    there = [folder / path for path in files if (folder / path).exists() or (folder / path).is_symlink()]
    if there:
        raise InputError(
            [Problem(str(path), 0, 0, "is there already; nothing was written") for path in there]
        )
    if folder.exists() and not folder.is_dir():
        raise InputError([Problem(name, 0, 0, "is no folder; nothing was written")])
    for path, text in files.items():
        target = folder / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(text, encoding="utf-8")
    out("\n".join(str(folder / path) for path in files))


def starter_files(name: str) -> dict[str, str]:
    """What ``labctl init`` writes.

    Args:
        name: of the lab.

    Returns:
        The text of each file, by its path in the new folder.
    """
    from labctl import __version__
    from labctl.cli.schema import SchemaKind, schema

    source = Path(__file__).parents[1] / "starter"
    texts = {target: (source / file).read_text(encoding="utf-8") for file, target in _TARGETS.items()}
    files = {
        target: text.replace("NAME", name).replace("VERSION", __version__) for target, text in texts.items()
    }
    for kind in (SchemaKind.TOPOLOGY, SchemaKind.SCENARIO):
        files[f".labctl/{kind}.schema.json"] = json.dumps(schema(kind), indent=2) + "\n"
    return files
