"""Where the files stand that come with labctl: templates, topologies, scenarios, images.

In the source tree they stand at the top; a wheel carries them inside the package.
"""

from __future__ import annotations

from pathlib import Path

__all__ = ["folder"]


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
