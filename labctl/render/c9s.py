"""A definition -> the definition that clabernetes (c9s) compiles: the same nodes and links in fewer words.

clabernetes has no groups, and management networks of its own. Its definition of a node and of a
link (``util/containerlab/types.go`` at 1cc0cbe) knows no capabilities, no MAC addresses of links,
and nothing of how one engine runs containers. What it does not know of a node it drops without a
word, so those keys are left out here, where a reader sees it: nodes have all privileges there,
which is containerlab's default, and links the MAC addresses that they get. ``network-mode`` and
``image-pull-policy`` it knows, but not with the values that a lab on one machine needs.

Each node gets what its group says, by containerlab's rules of precedence: maps merge, and the node
wins; lists add up, the group's first; any other value of the node stands.
"""

from __future__ import annotations

from typing import Any

import yaml

__all__ = ["for_c9s"]

_OF_THE_ENGINE = ("network-mode", "restart-policy", "image-pull-policy", "cap-add", "privileged")


def for_c9s(definition: str) -> str:
    """Rewrite a definition of :func:`labctl.render.render` for clabernetes.

    Args:
        definition: text of a ``*.clab.yml``.

    Returns:
        Text of the definition without groups, management network and keys of the engine.
    """
    data = yaml.safe_load(definition)
    data.pop("mgmt", None)
    topology = data["topology"]
    groups = topology.pop("groups", {})
    topology["nodes"] = {name: _alone(node or {}, groups) for name, node in topology["nodes"].items()}
    if kinds := topology.pop("kinds", {}):
        topology["kinds"] = {name: _without_engine(kind or {}) for name, kind in kinds.items()}
    topology["links"] = [_brief(link) for link in topology.get("links") or ()]
    head = "# Written by labctl render --target c9s: nodes are privileged, and links have any MAC address.\n"
    return head + yaml.safe_dump(data, sort_keys=False, width=1000)


def _alone(node: dict[str, Any], groups: dict[str, dict[str, Any]]) -> dict[str, Any]:
    """A node with all that its group says."""
    found = dict(node)
    for key, value in groups.get(str(found.pop("group", "")), {}).items():
        own = found.get(key)
        if isinstance(value, dict):
            found[key] = {**value, **(own or {})}
        elif isinstance(value, list):
            found[key] = value + [one for one in own or () if one not in value]
        else:
            found.setdefault(key, value)
    return _without_engine(found)


def _brief(link: dict[str, Any]) -> dict[str, Any]:
    """A link with its ends as ``node:interface``, the only form that clabernetes reads."""
    ends = [end if isinstance(end, str) else f"{end['node']}:{end['interface']}" for end in link["endpoints"]]
    kept: dict[str, Any] = {key: link[key] for key in ("mtu", "labels", "vars") if key in link}
    return {"endpoints": ends, **kept}


def _without_engine(entry: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in entry.items() if key not in _OF_THE_ENGINE}
