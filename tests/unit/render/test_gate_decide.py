"""The gate's decisions, and what must hold of them whatever is seen and in whatever order."""

from __future__ import annotations

import importlib.util
import sys
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from labctl.shipped import folder

if TYPE_CHECKING:
    from types import ModuleType

# A side's name, a port's name, and the gate's own Port, which no import reaches.
View = dict[str, dict[str, Any]]


def load(name: str) -> ModuleType:
    """A module of the gate program, from where the nodes get it."""
    path = folder("templates") / "router/etc/labctl/gate" / f"{name}.py"
    spec = importlib.util.spec_from_file_location(f"gate_{name}", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


gate = load("decide")
Port, Rules, Memory = gate.Port, gate.Rules, gate.Memory
DARK = Port()
SILENT = Port(carrier=True)
HALF = Port(carrier=True, routes4=3)
WHOLE = Port(carrier=True, routes4=3, routes6=3)
RULES = Rules(quiet=0.2, settle=3.0)


def two(north: list[Any], south: list[Any]) -> View:
    return {
        "north": {f"n{index}": port for index, port in enumerate(north)},
        "south": {f"s{index}": port for index, port in enumerate(south)},
    }


def run(*steps: tuple[float, View], rules: object = RULES, memory: Any = None) -> Any:
    memory = memory or Memory()
    for now, view in steps:
        memory, _ = gate.decide(view, now, memory, rules)
    return memory


def opened(view: View) -> Any:
    return run((0.0, view), (0.2, view))


def test_closed_at_boot() -> None:
    assert run((0.0, two([SILENT], [SILENT]))).open == frozenset()


def test_whole_sides_open_after_the_quiet_time_and_not_before() -> None:
    view = two([WHOLE, WHOLE], [WHOLE])
    memory, again = gate.decide(view, 10.0, Memory(), RULES)
    assert memory.open == frozenset()
    assert again == pytest.approx(10.2)
    memory, again = gate.decide(view, again, memory, RULES)
    assert memory.open == {"north", "south"}
    assert again is None


def test_every_change_starts_the_quiet_time_anew() -> None:
    more = two([Port(carrier=True, routes4=4, routes6=4)], [WHOLE])
    memory = run((0.0, two([WHOLE], [WHOLE])), (0.15, more), (0.3, more))
    assert memory.open == frozenset()
    assert run((0.36, more), memory=memory).open == {"north", "south"}


def test_announces_to_one_side_only_while_the_other_is_there() -> None:
    memory = run((0.0, two([WHOLE], [SILENT])), (10.0, two([WHOLE], [SILENT])))
    assert memory.open == {"south"}, "north is whole, so south may know of it; not the other way round"


def test_a_silent_neighbour_is_not_waited_for_for_ever() -> None:
    view = two([WHOLE, SILENT], [WHOLE])
    memory = run((0.0, view), (2.9, view))
    assert memory.open == {"north"}
    assert run((3.0, view), memory=memory).open == {"north", "south"}


def test_one_family_alone_is_not_whole() -> None:
    view = two([HALF], [WHOLE])
    assert run((0.0, view), (1.0, view)).open == {"north"}


def test_closes_at_once_when_a_side_is_lost() -> None:
    memory = opened(two([WHOLE, WHOLE], [WHOLE]))
    assert run((5.0, two([SILENT, DARK], [WHOLE])), memory=memory).open == {"north"}


def test_stays_open_while_some_of_a_side_is_left() -> None:
    memory = opened(two([WHOLE, WHOLE], [WHOLE]))
    assert run((5.0, two([DARK, WHOLE], [WHOLE])), memory=memory).open == {"north", "south"}


def test_links_are_held_down_while_the_other_side_is_dark_and_let_go_when_it_is_lit() -> None:
    memory = opened(two([WHOLE], [WHOLE]))
    memory = run((5.0, two([WHOLE], [DARK])), memory=memory)
    assert memory.held == {"north"}
    memory = run((5.1, two([DARK], [DARK])), memory=memory)
    assert memory.held == {"north"}, "its own darkness is our doing"
    assert run((6.0, two([DARK], [SILENT])), memory=memory).held == frozenset()


def test_nothing_is_held_before_the_gate_was_ever_open() -> None:
    assert run((0.0, two([SILENT], [DARK]))).held == frozenset()


def test_nothing_is_held_when_tracking_is_off() -> None:
    memory = opened(two([WHOLE], [WHOLE]))
    off = Rules(track=False)
    assert run((5.0, two([WHOLE], [DARK])), memory=memory, rules=off).held == frozenset()


def test_one_of_several_other_sides_is_enough() -> None:
    view = {"a": {"a0": WHOLE}, "b": {"b0": WHOLE}, "c": {"c0": WHOLE}}
    memory = opened(view)
    memory = run((5.0, view | {"c": {"c0": DARK}}), memory=memory)
    assert memory.open == {"a", "b", "c"}
    assert memory.held == frozenset()


def test_a_gateway_with_one_side_only_opens_to_it() -> None:
    view = {"all": {"e1": WHOLE, "e2": WHOLE}}
    assert opened(view).open == {"all"}


HOSTS = Rules(gates=False, hosts=frozenset({"h0"}), quiet=0.2, settle=3.0, patience=30.0)


def test_hosts_are_let_in_when_every_neighbour_has_announced_something() -> None:
    view = {"fabric": {"e1": WHOLE, "e2": WHOLE}}
    assert not run((0.0, view), (0.1, view), rules=HOSTS).hosts_up
    assert run((0.0, view), (0.2, view), rules=HOSTS).hosts_up


def test_hosts_stay_up_once_they_are() -> None:
    view = {"fabric": {"e1": WHOLE}}
    assert run((0.0, view), (0.2, view), (1.0, {"fabric": {"e1": DARK}}), rules=HOSTS).hosts_up


def test_hosts_are_let_in_at_last_when_no_neighbour_ever_comes() -> None:
    view = {"fabric": {"e1": DARK}}
    memory, again = gate.decide(view, 0.0, Memory(), HOSTS)
    assert again == pytest.approx(30.0)
    assert not memory.hosts_up
    assert run((30.0, view), memory=memory, rules=HOSTS).hosts_up


def test_the_line_says_what_is_missing() -> None:
    view = two([HALF], [DARK])
    memory = run((0.0, view))
    line = gate.describe(view, memory, RULES)
    assert line == "closed to north, closed to south (n0 no IPv6 routes, s0 no carrier)"
    whole = two([WHOLE], [WHOLE])
    assert gate.describe(whole, opened(whole), RULES) == "open"


ports = st.builds(
    Port,
    carrier=st.booleans(),
    routes4=st.integers(0, 2),
    routes6=st.integers(0, 2),
    speaks_bgp=st.booleans(),
)
sides = st.dictionaries(
    st.sampled_from("abc"), st.dictionaries(st.sampled_from("12"), ports, min_size=1), min_size=1
)


@st.composite
def histories(draw: st.DrawFn) -> list[tuple[float, View]]:
    shape = draw(sides)
    now = 0.0
    found: list[tuple[float, View]] = []
    for _ in range(draw(st.integers(1, 12))):
        now += draw(st.sampled_from([0.0, 0.05, 0.2, 1.0, 3.0]))
        view = {side: {name: draw(ports) for name in members} for side, members in shape.items()}
        found.append((now, view if draw(st.booleans()) or not found else found[-1][1]))
    return found


@given(histories())
def test_nothing_is_announced_that_cannot_be_passed_on_and_at_most_one_side_is_held(
    history: list[tuple[float, View]],
) -> None:
    memory = Memory()
    for now, view in history:
        before = memory
        memory, again = gate.decide(view, now, memory, RULES)
        for side in memory.open:
            others = [port for name, members in view.items() if name != side for port in members.values()]
            assert any(port.useful for port in others or view[side].values())
        assert len(memory.held) <= 1
        assert memory.held <= memory.been_open
        for side in memory.held:
            others = [port for name, members in view.items() if name != side for port in members.values()]
            assert not any(port.carrier for port in others)
        assert again is None or again > now
        # The same view at the same time changes nothing.
        assert gate.decide(view, now, memory, RULES)[0].open == memory.open
        assert before.been_open <= memory.been_open


@given(histories())
def test_what_stays_whole_opens_in_the_end(history: list[tuple[float, View]]) -> None:
    memory = run(*history)
    now, last = history[-1]
    view = {side: dict.fromkeys(members, WHOLE) for side, members in last.items()}
    memory, again = gate.decide(view, now, memory, RULES)
    if again is not None:
        memory, _ = gate.decide(view, again, memory, RULES)
    assert memory.open == set(view)
    assert memory.held == frozenset()
