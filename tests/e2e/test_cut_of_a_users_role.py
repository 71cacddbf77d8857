"""A link to a node of a user's role is cut as the link to one of ours that acts the same."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
from machine import Machine, machine

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = pytest.mark.netns

TOPOLOGY = """\
name: users-role
templates: tpl
nodes:
  a: {role: host}
  b: {role: myhost}
  c: {role: middlebox}
  r1: {role: router}
links:
  - [a, r1]
  - [b, r1]
  - [c, r1]
"""


@pytest.fixture(scope="module")
def host(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Machine]:
    with machine(tmp_path_factory.mktemp("users-role")) as one:
        for name, text in (
            ("myhost", "extends: host\nacts-as: host\n"),
            ("middlebox", "extends: host\ntraits: [forwards]\n"),
        ):
            (one.cwd / "tpl" / name).mkdir(parents=True)
            (one.cwd / "tpl" / name / "role.yml").write_text(text)
        (one.cwd / "users-role.yml").write_text(TOPOLOGY)
        up = one.labctl("up", "users-role.yml", "--runtime", "netns")
        assert up.returncode == 0, up.stderr
        yield one


def link(host: Machine, node: str) -> dict[str, Any]:
    """The node's end as the kernel has it: administrative state in ``flags``, carrier as NO-CARRIER."""
    done = host.labctl("exec", "users-role", node, "--", "ip", "-json", "link", "show", "dev", "eth1")
    found: dict[str, Any] = json.loads(done.stdout)[0]
    return found


@pytest.mark.parametrize(
    ("node", "port", "held"), [("a", "eth1", "a"), ("b", "eth2", "b"), ("c", "eth3", "r1")]
)
def test_the_end_system_is_held_and_what_forwards_sees_no_carrier(
    host: Machine, node: str, port: str, held: str
) -> None:
    done = host.labctl("link", "cut", "users-role", node, "r1", "--json")
    assert done.returncode == 0, done.stderr
    try:
        shown = host.labctl("exec", "users-role", "r1", "--", "ip", "-json", "link", "show", "dev", port)
        routers_end = json.loads(shown.stdout)[0]["flags"]
        nodes_end = link(host, node)["flags"]
        down, up = (nodes_end, routers_end) if held == node else (routers_end, nodes_end)
        assert "UP" not in down, "this end is set down"
        assert {"UP", "NO-CARRIER"} <= set(up), "this end lost its carrier and stays up"
        assert json.loads(done.stdout)["detail"]["held"].startswith(f"{held}:")
    finally:
        assert host.labctl("link", "restore", "users-role", node, "r1").returncode == 0
