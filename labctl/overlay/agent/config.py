"""The agent's configuration at its start: /etc/labctl/agent.json, written by render."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from labctl.errors import InputError, Problem

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

__all__ = ["AgentConfig", "read_config"]


@dataclass(frozen=True, slots=True)
class AgentConfig:
    """An agent's own facts.

    Attributes:
        host: name of the node.
        kind: ``compute`` or ``gateway``.
        controllers: ``address:port`` of each state database server.
        tunnel: own underlay address.
        ports: interface name -> name of the VM port on it.
        uplink: name of the uplink on a gateway; empty on a compute node.
        tunnel_port: UDP port of the tunnels.
        upcalls_a_second: rate limit of each port.
        upcalls_at_once: burst of each port.
        state: folder for the agent's own state (control socket).
        standing: file that says in one line how the agent stands; ``ready`` when it is.
        gate: file of a gateway's gate; ``.pid`` and ``.drain`` are beside it.
        built: the compiled flow cache.
    """

    host: str
    kind: str
    controllers: tuple[str, ...]
    tunnel: str
    ports: Mapping[str, str] = field(default_factory=dict)
    uplink: str = ""
    tunnel_port: int = 6677
    upcalls_a_second: int = 20000
    upcalls_at_once: int = 2000
    state: str = "/run/labctl-agent"
    standing: str = "/run/labctl/agent"
    gate: str = "/run/labctl/gate"
    built: str = ""


def read_config(path: Path) -> AgentConfig:
    """Read the file.

    Raises:
        InputError: it is not there, no JSON, or says what no agent knows.
    """
    try:
        raw = json.loads(path.read_text())
        raw["controllers"] = tuple(raw["controllers"])
        return AgentConfig(**raw)
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise InputError([Problem(str(path), 0, 0, f"no configuration of an agent: {error}")]) from error
