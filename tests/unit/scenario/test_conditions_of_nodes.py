"""Conditions that ask a node: a command, a route, BGP sessions, replies, convergence."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
from pydantic import ValidationError

from labctl.lab.runtime import ExecResult
from labctl.scenario.kinds.condition import Waiting
from labctl.scenario.kinds.registry import CONDITIONS
from labctl.testing.backend import FakeBackend

if TYPE_CHECKING:
    from collections.abc import Callable

    from labctl.scenario.kinds.condition import Measured

SECOND = 1_000_000_000


def says(stdout: object = b"", code: int = 0, stderr: bytes = b"") -> ExecResult:
    text = stdout if isinstance(stdout, bytes) else json.dumps(stdout).encode()
    return ExecResult(code, text, stderr)


def waited(entry: dict[str, Any], programs: Callable[[str, tuple[str, ...]], ExecResult]) -> Measured:
    kind = CONDITIONS[next(key for key in entry if key in CONDITIONS)]
    condition = kind.read(kind.entry.model_validate({"within": "1s", **entry}))
    backend = FakeBackend(nodes=("gw1", "r1"), programs=programs)
    return condition.wait(Waiting(backend, None, set, lambda _values: None))


def why(entry: dict[str, Any], answer: ExecResult) -> str:
    found = waited(entry, lambda _node, _argv: answer)
    assert found.met == (not found.why)
    return found.why


@pytest.mark.parametrize(
    ("wanted", "answer", "told"),
    [
        ({}, says(), ""),
        ({}, says(code=3, stderr=b"no\nmore"), "gw1: exit code 3, expected 0: no"),
        ({"exit": 3}, says(code=3), ""),
        ({"stdout": "up"}, says(b"it is up"), ""),
        ({"stdout": "up"}, says(b"it is \x1b[31mdown"), "gw1: no 'up' in the output 'it is ?[31mdown'"),
        ({"json": {"path": "a.1.b", "equals": 5}}, says({"a": [0, {"b": 5}]}), ""),
        ({"json": {"path": "a.1.b", "equals": 5}}, says({"a": [0, {"b": 6}]}), "gw1: a.1.b is 6, expected 5"),
        ({"json": {"path": "a", "equals": True}}, says({"a": 1}), "gw1: a is 1, expected true"),
        ({"json": {"path": "a", "equals": None}}, says({"a": None}), ""),
        ({"json": {"path": "a", "at-least": 3}}, says({"a": 2}), "gw1: a is 2, expected at least 3"),
        ({"json": {"path": "a", "at-most": 3}}, says({"a": 4}), "gw1: a is 4, expected at most 3"),
        ({"json": {"path": "a", "at-most": 3}}, says({"a": "x"}), 'gw1: a is "x", expected a number'),
        ({"json": {"path": "a.b", "equals": 1}}, says({"a": 1}), "gw1: no a.b in the output"),
        ({"json": {"path": "a.9", "equals": 1}}, says({"a": []}), "gw1: no a.9 in the output"),
        ({"json": {"path": "a", "equals": 1}}, says(b"<xml>"), "gw1: the output is no JSON: '<xml>'"),
        ({"json": {"path": "a", "equals": 1}}, says(b"[" * 99999), "gw1: no a in the output"),
    ],
)
def test_a_command(wanted: dict[str, Any], answer: ExecResult, told: str) -> None:
    assert why({"command": {"node": "gw1", "run": "x", **wanted}}, answer) == told


def test_a_line_is_run_by_the_nodes_shell_and_words_are_not() -> None:
    seen: list[tuple[str, ...]] = []

    def programs(_node: str, argv: tuple[str, ...]) -> ExecResult:
        seen.append(argv)
        return says()

    waited({"command": {"node": "gw1", "run": "a; b"}}, programs)
    waited({"command": {"node": "gw1", "run": ["a;", "b"]}}, programs)
    assert seen == [("sh", "-c", "a; b"), ("a;", "b")]


TWO = [
    {
        "dst": "10.1.0.0/24",
        "nexthops": [
            {"gateway": "10.0.0.1", "dev": "eth1", "flags": []},
            {"via": {"host": "fe80::1"}, "dev": "eth2", "flags": ["dead", "linkdown"]},
        ],
    }
]


@pytest.mark.parametrize(
    ("wanted", "routes", "told"),
    [
        ({}, TWO, ""),
        ({}, [], "gw1: no route to 10.1.0.0/24"),
        ({"next-hops": 2}, TWO, "gw1: 1 live next hops to 10.1.0.0/24"),
        ({"via": "eth1"}, TWO, ""),
        ({"via": "10.0.0.1"}, TWO, ""),
        ({"via": "eth2"}, TWO, "gw1: 10.1.0.0/24 by 10.0.0.1 eth1, not by eth2"),
        ({}, [{"dst": "10.1.0.0/24", "dev": "eth9", "flags": ["linkdown"]}], "gw1: no route to 10.1.0.0/24"),
        ({}, {"no": "list"}, 'gw1: ip route: \'{"no": "list"}\' cannot be read'),
    ],
)
def test_a_route(wanted: dict[str, Any], routes: object, told: str) -> None:
    assert why({"route": {"node": "gw1", "to": "10.1.0.0/24", **wanted}}, says(routes)) == told


def test_a_route_to_a_node_is_to_its_address_and_one_of_ipv6_is_of_that_family() -> None:
    seen: list[tuple[str, ...]] = []

    def programs(_node: str, argv: tuple[str, ...]) -> ExecResult:
        seen.append(argv[2:])
        return says(TWO)

    for to in ("r1", "default", "fd00::/64", "fd00::1"):
        waited({"route": {"node": "gw1", "to": to}}, programs)
    assert [(argv[0], argv[-1]) for argv in seen] == [
        ("-4", "10.255.0.2/32"),
        ("-4", "default"),
        ("-6", "fd00::/64"),
        ("-6", "fd00::1/128"),
    ]


@pytest.mark.parametrize("to", ["10.1.0.0/99", "10.1.0.1/24", "fd00::zz"])
def test_what_is_no_prefix_is_refused(to: str) -> None:
    with pytest.raises(ValidationError, match="expected a prefix"):
        waited({"route": {"node": "gw1", "to": to}}, lambda _node, _argv: says())


def summary(**states: str) -> dict[str, Any]:
    def peers(prefixes: int) -> dict[str, Any]:
        return {
            name: {"hostname": f"host-{name}", "state": state, "pfxRcd": prefixes}
            for name, state in states.items()
        }

    return {"ipv4Unicast": {"peers": peers(2)}, "ipv6Unicast": {"peers": peers(1)}, "vrf": "default"}


@pytest.mark.parametrize(
    ("wanted", "states", "told"),
    [
        ({}, {"eth1": "Established", "eth2": "Established"}, ""),
        ({}, {"eth1": "Established", "eth2": "Active"}, "gw1: host-eth2 (eth2) is Active"),
        ({"peer": "eth1"}, {"eth1": "Established", "eth2": "Active"}, ""),
        ({"peer": "host-eth2"}, {"eth1": "Established", "eth2": "Active"}, "gw1: host-eth2 (eth2) is Active"),
        ({"peer": "eth2", "state": "Active"}, {"eth2": "Active"}, ""),
        ({"peer": "eth9"}, {"eth1": "Established"}, "gw1: no BGP peer eth9"),
        # A node that has no session proves nothing.
        ({}, {}, "gw1: no BGP peer"),
        ({"prefixes": 3}, {"eth1": "Established"}, ""),
        ({"prefixes": 4}, {"eth1": "Established"}, "gw1: host-eth1 (eth1): 3 prefixes"),
    ],
)
def test_bgp_sessions(wanted: dict[str, Any], states: dict[str, str], told: str) -> None:
    assert why({"bgp": {"node": "gw1", **wanted}}, says(summary(**states))) == told


@pytest.mark.parametrize("text", [b"% no BGP", b"[1]", b'{"ipv4Unicast": {"peers": {"a": 3}}}'])
def test_what_frr_says_that_cannot_be_read_is_no_session(text: bytes) -> None:
    assert "cannot be read" in why({"bgp": {"node": "gw1"}}, says(text))


def test_reachable_is_by_a_reply() -> None:
    assert waited({"reachable": {"from": "gw1", "to": "r1"}}, lambda _node, _argv: says()).met


# ---- converged ------------------------------------------------------------------------------------------


class Converging:
    """Sessions that come up at one moment, routes that change until another one."""

    def __init__(self, up_s: float, rest_s: float) -> None:
        self.backend = FakeBackend(nodes=("r1", "h1"), programs=self.answer)
        self.begin = self.backend.now
        self.up, self.rest = int(up_s * SECOND), int(rest_s * SECOND)

    def answer(self, node: str, argv: tuple[str, ...]) -> ExecResult:
        now = self.backend.now - self.begin
        if argv[0] == "test":
            return says(code=127 if node == "h1" else 0)
        if argv[0] == "vtysh":
            return says(summary(eth1="Established" if now >= self.up else "Connect"))
        change = min(now, self.rest) // (SECOND // 4)
        return says(f"10.0.0.0/8 dev eth{change} expires {now}sec".encode())

    def wait(self, **options: str) -> Measured:
        kind = CONDITIONS["converged"]
        entry = {"converged": "all", "within": "10s", **options}
        condition = kind.read(kind.entry.model_validate(entry))
        return condition.wait(Waiting(self.backend, None, set, lambda _values: None))


def test_converged_is_when_sessions_stand_and_nothing_has_changed_for_a_time() -> None:
    lab = Converging(up_s=1, rest_s=3)
    found = lab.wait()
    assert found.met
    # What it took to come to rest, without the time in which nothing changed.
    assert 3 * SECOND <= found.values["took_ns"] <= 3.3 * SECOND
    assert lab.backend.now - lab.begin >= 4 * SECOND


def test_sessions_that_come_last_count_from_there() -> None:
    found = Converging(up_s=4, rest_s=1).wait(**{"for": "2s"})
    assert found.met
    assert 4 * SECOND <= found.values["took_ns"] <= 4.3 * SECOND


def test_what_does_not_come_to_rest_says_what_moves() -> None:
    assert Converging(up_s=99, rest_s=0).wait().why == "r1: host-eth1 (eth1) is Connect"
    assert Converging(up_s=0, rest_s=99).wait().why.startswith("lab: routes changed ")
