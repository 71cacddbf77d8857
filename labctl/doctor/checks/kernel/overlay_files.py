"""The overlay file system."""

from __future__ import annotations

import tempfile

from labctl.doctor.kernel import needed_feature
from labctl.doctor.model import Purpose
from labctl.linux.features import run

__all__ = ["CHECK"]

_MOUNT = """
mount -t tmpfs t "$1" && cd "$1" && mkdir l u w m && mount -t overlay o -o lowerdir=l,upperdir=u,workdir=w m
"""


def _overlay() -> str:
    with tempfile.TemporaryDirectory(prefix="labctl-doctor-") as folder:
        run(("unshare", "-m", "--propagation", "private", "sh", "-c", _MOUNT, "sh", folder))
    return "works"


CHECK = needed_feature(
    name="overlay file system",
    order=20,
    reason="every node has the host's files and its own changes",
    probe=_overlay,
    needed=frozenset({Purpose.EMBEDDED, Purpose.TESTS}),
)
