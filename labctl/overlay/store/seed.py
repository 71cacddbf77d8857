"""What a fresh state database begins with: run on a controller at boot, once a server serves.

``labctl-python -m labctl.overlay.store.seed FILE`` plans what FILE says (``section``, ``hosts``, ``vms``
and ``servers``, see :mod:`labctl.overlay.config.topology_section`) and writes it, in one transaction,
unless the database holds something already: after a power cycle nothing of what was changed since is undone.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from labctl.errors import ActionError, InputError, LabctlError, Problem
from labctl.overlay.config.topology_section import LabFacts, plan_overlay
from labctl.overlay.store.nsdb import Database
from labctl.overlay.store.session import connect

if TYPE_CHECKING:
    from collections.abc import Iterable

    from labctl.overlay.config.model import Item
    from labctl.overlay.config.state import Edit

__all__ = ["main", "seed"]


def seed(database: Database, items: Iterable[Item]) -> bool:
    """Write the items unless something is there; whether they were written.

    Raises:
        InputError: they break a rule of the model.
        ActionError: the database cannot be reached.
    """
    planned = tuple(items)

    def write(edit: Edit) -> bool:
        # Another controller may have been quicker since we looked.
        if next(edit.items(), None) is not None:
            return False
        edit.put(*planned)
        return True

    return not database.exists() and database.change(write)


def main(arguments: list[str]) -> int:
    """Read the file, write the database; 0 when it is there afterwards."""
    try:
        (name,) = arguments
        plain = json.loads(Path(name).read_text())
        items = plan_overlay(plain.get("section", {}), LabFacts.parse(plain))
        servers = plain["servers"]
    except InputError as error:
        sys.stderr.write(f"seed: {error}\n")
        return 2
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        sys.stderr.write(f"seed: {InputError([Problem(str(arguments), 0, 0, str(error))])}\n")
        return 2
    return _write(servers, items)


def _write(servers: list[str], items: tuple[Item, ...]) -> int:
    try:
        client = connect(servers)
    except ActionError as error:
        sys.stderr.write(f"seed: {error}\n")
        return 1
    try:
        written = seed(Database(client), items)
    except LabctlError as error:
        sys.stderr.write(f"seed: {error}\n")
        return 1
    finally:
        client.stop()
        client.close()
    sys.stdout.write(
        f"seed: {len(items)} items written\n" if written else "seed: the database is there already\n"
    )
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
