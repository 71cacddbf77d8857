"""Sessions with the ensemble: one client with a bounded retry time and a quiet logger."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from kazoo.client import KazooClient
from kazoo.handlers.threading import KazooTimeoutError

from labctl.errors import ActionError

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["LOG", "SESSION_S", "connect", "make_client"]

SESSION_S = 4.0
"""How long the ensemble waits for a silent client before it forgets its session; also the longest
that the client waits for one server before it tries the next."""

_FOREVER = -1

LOG = logging.getLogger("labctl.overlay.zookeeper")
# Without this, warnings of the library would be printed where nobody configured logging.
LOG.addHandler(logging.NullHandler())


def make_client(
    servers: Sequence[str], *, session_s: float = SESSION_S, patience_s: float = 15.0, in_order: bool = False
) -> KazooClient:
    """A client that is not started yet.

    Args:
        servers: ``address:port``, IPv6 addresses in brackets.
        session_s: see :data:`SESSION_S`.
        patience_s: how long a command is tried again while the connection is lost.
        in_order: try the servers in this order; else clients spread over them at random.
    """
    return KazooClient(
        hosts=",".join(servers),
        timeout=session_s,
        randomize_hosts=not in_order,
        connection_retry={"max_tries": _FOREVER, "delay": 0.05, "backoff": 1.5, "max_delay": 0.5},
        command_retry={
            "max_tries": _FOREVER,
            "delay": 0.05,
            "backoff": 1.5,
            "max_delay": 0.5,
            "deadline": patience_s,
        },
        logger=LOG,
    )


def connect(
    servers: Sequence[str], *, session_s: float = SESSION_S, patience_s: float = 15.0, in_order: bool = False
) -> KazooClient:
    """A client with a session. The caller stops and closes it.

    Raises:
        ActionError: no server answered within the patience.
    """
    client = make_client(servers, session_s=session_s, patience_s=patience_s, in_order=in_order)
    try:
        client.start(timeout=patience_s)
    except KazooTimeoutError as error:
        client.close()
        raise ActionError(f"none of the controllers answers: {', '.join(servers)}") from error
    return client
