"""The keys of a containerlab file, how they merge, and which of them only containerlab supports."""

from __future__ import annotations

import difflib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

__all__ = ["IGNORED", "KNOWN", "UNSUPPORTED", "merged", "misspelt", "unsupported"]

KNOWN = {
    "top": frozenset(["name", "prefix", "mgmt", "settings", "topology", "debug"]),
    "topology": frozenset(["defaults", "kinds", "groups", "nodes", "links"]),
    "node": frozenset(
        [
            "kind",
            "group",
            "image",
            "entrypoint",
            "cmd",
            "binds",
            "env",
            "sysctls",
            "cap-add",
            "exec",
            "labels",
            "privileged",
        ]
    ),
}

IGNORED = frozenset(
    [
        "aliases",
        "auto-remove",
        "certificate",
        "components",
        "config",
        "cpu",
        "cpu-set",
        "credentials",
        "devices",
        "dns",
        "enforce-startup-config",
        "env-files",
        "extras",
        "healthcheck",
        "image-pull-policy",
        "license",
        "memory",
        "mgmt-ipv4",
        "mgmt-ipv6",
        "mgmt_ipv4",
        "mgmt_ipv6",
        "network-mode",
        "owner",
        "pid",
        "podman-args",
        "ports",
        "position",
        "publish",
        "restart-policy",
        "runtime",
        "sandbox",
        "shm-size",
        "stages",
        "startup-config",
        "startup-delay",
        "suppress-startup-config",
        "tmpfs",
        "type",
        "user",
        "volumes",
    ]
)
"""Keys that containerlab knows and the embedded runtime has no need of, or no such thing."""

UNSUPPORTED = {
    "devices": "`devices` are not given to nodes by the embedded runtime",
    "env-files": "`env-files` are not read by the embedded runtime: put them under `env`",
    "user": "`user` is not honoured by the embedded runtime: nodes run as root",
    "stages": "`stages` are not honoured by the embedded runtime",
    "network-mode": "`network-mode` other than none is not made by the embedded runtime",
    "volumes": "`volumes` are not made by the embedded runtime: use `binds`",
}

_OWN_NAMESPACE = frozenset({"none", "bridge"})
"""Values of ``network-mode`` with which a node has a network namespace of its own."""

_ADDED_UP = frozenset({"exec", "binds", "cap-add", "devices", "ports", "env-files"})
_NEAR = 0.8


def merged(layers: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Layers from the weakest to the strongest as one: maps merge, certain lists add up, the rest wins.

    As in ``types/topology.go`` of containerlab: what a list that adds up says twice counts once, the first
    time, and an empty text is no value.
    """
    whole: dict[str, Any] = {}
    for layer in layers:
        for key, value in layer.items():
            before = whole.get(key)
            if isinstance(value, dict) and isinstance(before, dict):
                whole[key] = {**before, **value}
            elif key in _ADDED_UP and isinstance(value, list):
                whole[key] = _once([*(before if isinstance(before, list) else []), *value])
            elif value is not None and value != "":
                whole[key] = value
    return whole


def unsupported(key: str, value: object) -> str:
    """Why the embedded runtime cannot do what a key asks; empty if it can, or if nothing is asked."""
    if value in (None, [], {}, ""):
        return ""
    if key == "network-mode" and str(value).lower() in _OWN_NAMESPACE:
        return ""
    return UNSUPPORTED.get(key, "")


def _once(values: Sequence[Any]) -> list[Any]:
    found: list[Any] = []
    for value in values:
        if value not in found:
            found.append(value)
    return found


def misspelt(key: str, known: frozenset[str]) -> str:
    """The known key that an unknown one must have meant; empty if the key is known, or like none.

    A key that is like none may be a newer containerlab's: it is let through.
    """
    if key in known:
        return ""
    return next(iter(difflib.get_close_matches(key, sorted(known), n=1, cutoff=_NEAR)), "")
