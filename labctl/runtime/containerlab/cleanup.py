"""Finds and removes what a containerlab lab leaves on the host besides containers.

The reasons: a deploy may be killed at any moment, and a destroy only logs what it could not remove. Leftovers
are names of namespaces under /run/netns (links to /proc, and ``clab-park-*``), links that had not been moved
into their node yet, the lab's folder, its lines in /etc/hosts and its ssh configuration.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import re
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from labctl.linux.netlink import Route, links
from labctl.linux.netns import unpin

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["Leftovers", "remove_unmoved_links", "unmoved_links"]

NETNS_FOLDER = Path("/run/netns")
HOSTS = Path("/etc/hosts")
HOSTS_LOCK = Path("/run/lock/clab-hosts.lock")
SSH_FOLDER = Path("/etc/ssh/ssh_config.d")

_UNMOVED = re.compile(r"^clab-[0-9a-f]{8}$")


@dataclass(frozen=True, slots=True)
class Leftovers:
    """The places that may hold leftovers of one lab.

    Attributes:
        lab: name of the lab.
        folder: of its definition; None if that is not known.
        containers: names that its containers had.
    """

    lab: str
    folder: Path | None
    containers: tuple[str, ...]

    def find(self) -> tuple[str, ...]:
        """Everything that is there, one line each; empty when the host is as before."""
        found = [str(path) for path in self._namespace_names()]
        found += [str(path) for path in self._folders() if path.exists()]
        found += [f"{HOSTS}: entries of {self.lab}"] if self._hosts_without() is not None else []
        return tuple(found)

    def remove(self) -> None:
        """Remove all leftovers; :meth:`find` still returns those that could not be removed."""
        for path in list(self._namespace_names()):
            with contextlib.suppress(OSError):
                if path.is_symlink():
                    path.unlink()
                else:
                    unpin(path)
        for path in self._folders():
            with contextlib.suppress(OSError):
                if path.is_dir() and not path.is_symlink():
                    shutil.rmtree(path)
                else:
                    path.unlink()
        self._clean_hosts()

    def _namespace_names(self) -> Iterator[Path]:
        for name in self.containers:
            for path in (NETNS_FOLDER / name, NETNS_FOLDER / f"clab-park-{name}"):
                if os.path.lexists(path):
                    yield path

    def _folders(self) -> Iterator[Path]:
        yield SSH_FOLDER / f"clab-{self.lab}.conf"
        if self.folder is not None:
            yield self.folder / f"clab-{self.lab}"

    def _hosts_without(self) -> str | None:
        """/etc/hosts without the lab's lines; None if it has none."""
        try:
            text = HOSTS.read_text()
        except OSError:
            return None
        start, end = (re.escape(f"###### CLAB-{self.lab}-{word} ######") for word in ("START", "END"))
        fresh, count = re.subn(rf"^{start}\n(?:.*\n)*?{end}\n?", "", text, flags=re.MULTILINE)
        return fresh if count else None

    def _clean_hosts(self) -> None:
        if self._hosts_without() is None:
            return
        HOSTS_LOCK.parent.mkdir(parents=True, exist_ok=True)
        with HOSTS_LOCK.open("a") as lock:
            # The lock that containerlab itself takes for every change of the file.
            fcntl.flock(lock, fcntl.LOCK_EX)
            fresh = self._hosts_without()
            if fresh is not None:
                # In place: in a container /etc/hosts is a mount and cannot be replaced.
                HOSTS.write_text(fresh)


def unmoved_links() -> tuple[str, ...]:
    """Links on the host that a killed deploy made and had not moved into a node yet.

    Only pairs with both ends on the host count (any other goes with its node). Their name says
    containerlab but not which lab: while another containerlab works, nothing is said to be left.
    """
    if _another_works():
        return ()
    route = Route()
    try:
        ours = {link.index: link for link in links(route).values() if _UNMOVED.match(link.name)}
    finally:
        route.close()
    return tuple(sorted(link.name for link in ours.values() if link.peer_index in ours))


def remove_unmoved_links() -> None:
    """Remove what :func:`unmoved_links` finds."""
    for name in unmoved_links():
        # Either end takes the other with it: the second call of a pair fails, and may.
        subprocess.run(["ip", "link", "delete", name], check=False, capture_output=True)


def _another_works() -> bool:
    for entry in Path("/proc").iterdir():
        with contextlib.suppress(OSError):
            if entry.name.isdigit() and (entry / "comm").read_text().startswith("containerlab"):
                return True
    return False
