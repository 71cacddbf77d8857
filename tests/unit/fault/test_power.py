"""What a loss of power and its return do, for every state of a node and every mode."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from labctl.clab.definition import STOP_PROGRAM
from labctl.errors import ActionError, NodeError
from labctl.events import Event, silent
from labctl.fault.link import blackhole_node, cut_link
from labctl.fault.power import power_off, power_on
from labctl.fault.registry import faults
from labctl.fault.types import PowerMode
from labctl.lab.definition_cache import definition_of, save_definition
from labctl.lab.runtime import ExecResult, NodeState, NodeStatus
from labctl.linux import processes

if TYPE_CHECKING:
    from labctl.clab.definition import NodeDefinition
    from labctl.fault.types import Effect
    from labctl.testing.fault_bed import Bed

CUT, GRACEFUL, FREEZE = PowerMode.CUT, PowerMode.GRACEFUL, PowerMode.FREEZE


def _methods(bed: Bed) -> list[str]:
    """What the runtime was asked to do, looks left out."""
    return [
        " ".join([call.method, call.node, *call.argv])
        for call in bed.runtime.calls
        if call.method in ("kill", "boot", "exec")
    ]


def _off(bed: Bed, node: str, mode: PowerMode = CUT) -> Effect:
    return power_off(bed.runtime, bed.lab, node, mode, silent)


def _on(bed: Bed, node: str) -> Effect:
    return power_on(bed.runtime, bed.lab, node, silent)


def _change(bed: Bed, node: str, **changes: object) -> None:
    """Give a node of the running definition other properties."""
    definition = definition_of(bed.lab)
    nodes: list[NodeDefinition] = [
        replace(spec, **changes) if spec.name == node else spec  # type: ignore[arg-type]
        for spec in definition.nodes
    ]
    save_definition(bed.lab, replace(definition, nodes=tuple(nodes)))


# Off.


@pytest.mark.parametrize("mode", PowerMode)
@pytest.mark.parametrize("status", [NodeStatus.OFF, NodeStatus.MISSING])
def test_a_node_without_power_is_left_alone(
    bed: Bed, monkeypatch: pytest.MonkeyPatch, mode: PowerMode, status: NodeStatus
) -> None:
    monkeypatch.setattr(bed.runtime, "states", lambda _lab: {"a": NodeState(status)})
    effect = _off(bed, "a", mode)
    assert effect.detail == {"already": True, "mode": mode.value}
    assert (bed.in_force, bed.kernel.done, _methods(bed)) == ([], [], [])


def test_a_cut_stops_then_takes_all_links_then_kills(bed: Bed) -> None:
    events: list[Event] = []
    effect = power_off(bed.runtime, bed.lab, "a", CUT, events.append)
    assert bed.kernel.done == ["stop a", "down a:lt1", "down a:lt2", "kill a"]
    assert {(seen.node, seen.interface) for seen in effect.carriers} == {("b", "lt1"), ("c", "lt1")}
    assert all(seen.t_ns for seen in effect.carriers)
    assert effect.detail["mode"] == "cut"
    assert not {"already", "unseen", "without_carrier", "stop", "guests"} & set(effect.detail)
    assert effect.requested_ns <= effect.first_ns <= effect.last_ns <= effect.done_ns
    assert bed.in_force == ["power-off a"]
    # The link ends stay in the old namespace, which is held; the sockets in it are told to give up.
    assert processes.pinned(bed.lab.parked / "a") == (0, bed.kernel.holder("a:lt1"))
    assert bed.dropped == [bed.lab.parked / "a"]
    assert [event.kind for event in events] == ["node.stopped"]


def test_a_graceful_stop_runs_the_stop_program_first(bed: Bed) -> None:
    bed.runtime.answers[STOP_PROGRAM,] = ExecResult(0, b"", b"")
    effect = _off(bed, "a", GRACEFUL)
    assert _methods(bed) == [f"exec a {STOP_PROGRAM}", "kill a"]
    assert bed.kernel.done[-1] == "kill a"
    assert "stop" not in effect.detail


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        (ExecResult(1, b"", b"no"), f"{STOP_PROGRAM} ended with 1: no"),
        (ActionError("did not end within 20 s"), "did not end within 20 s"),
    ],
)
def test_a_stop_program_that_fails_is_told_and_does_not_keep_the_power_on(
    bed: Bed, answer: ExecResult | ActionError, said: str
) -> None:
    bed.runtime.answers[STOP_PROGRAM,] = answer
    effect = _off(bed, "a", GRACEFUL)
    assert effect.detail["stop"] == said
    assert not bed.kernel.carrier("b:lt1")
    assert bed.runtime.states(bed.lab)["a"].status is NodeStatus.OFF


def test_a_freeze_stops_processes_and_leaves_carrier(bed: Bed) -> None:
    effect = _off(bed, "a", FREEZE)
    assert bed.kernel.done == ["stop a"]
    assert bed.kernel.carrier("b:lt1")
    assert (effect.detail["mode"], effect.detail["processes"], effect.carriers) == ("freeze", 1, ())
    assert bed.runtime.states(bed.lab)["a"].status is NodeStatus.FROZEN
    assert dict(faults(bed.lab)[0].detail) == {"mode": "freeze"}


@pytest.mark.parametrize("mode", [CUT, GRACEFUL])
def test_a_frozen_node_can_lose_its_power(bed: Bed, mode: PowerMode) -> None:
    _off(bed, "a", FREEZE)
    bed.runtime.answers[STOP_PROGRAM,] = ActionError("did not end within 20 s")
    effect = _off(bed, "a", mode)
    assert bed.runtime.states(bed.lab)["a"].status is NodeStatus.OFF
    assert not bed.kernel.carrier("b:lt1")
    assert "already" not in effect.detail
    # One fault, of the last mode.
    assert [dict(fault.detail) for fault in faults(bed.lab)] == [{"mode": mode.value}]


def test_a_freeze_again_is_no_error_and_one_fault(bed: Bed) -> None:
    _off(bed, "a", FREEZE)
    _off(bed, "a", FREEZE)
    assert bed.in_force == ["power-off a"]


def test_a_peer_that_does_not_tell_is_named(bed: Bed) -> None:
    bed.kernel.silent.add("b:lt1")
    effect = _off(bed, "a")
    assert effect.detail["unseen"] == "b:lt1"
    assert [seen.t_ns == 0 for seen in effect.carriers] == [True, False]


def test_a_cut_that_no_peer_saw_is_an_error_and_stays_in_the_ledger(bed: Bed) -> None:
    bed.kernel.silent.update({"b:lt1", "c:lt1"})
    with pytest.raises(ActionError, match="power-off of a had no effect: no peer lost carrier"):
        _off(bed, "a")
    assert bed.in_force == ["power-off a"]


def test_peers_without_carrier_before_are_counted_and_not_waited_for(bed: Bed) -> None:
    _off(bed, "b")
    effect = _off(bed, "a")
    # b's end has no namespace that could tell; c's other end is seen to go.
    assert [seen.node for seen in effect.carriers] == ["c"]
    cut_link(bed.runtime, bed.lab, "c", "vm", silent)
    assert _off(bed, "vm").detail["without_carrier"] == 1


def test_no_such_node_is_told_with_the_nearest(bed: Bed) -> None:
    with pytest.raises(ActionError, match=r"no node 'vmm' \(did you mean 'vm'\?\)"):
        _off(bed, "vmm")


# Guests.


def test_guests_fall_after_their_host_and_the_ledger_says_whose_they_are(bed: Bed) -> None:
    effect = _off(bed, "c")
    assert [word for word in bed.kernel.done if word.startswith("kill")] == ["kill c", "kill vm"]
    assert effect.detail["guests"] == "vm"
    assert {fault.target: fault.detail.get("host") for fault in faults(bed.lab)} == {"c": None, "vm": "c"}


def test_guests_are_stopped_before_their_host_is_in_a_graceful_stop(bed: Bed) -> None:
    bed.runtime.answers[STOP_PROGRAM,] = ExecResult(0, b"", b"")
    _off(bed, "c", GRACEFUL)
    assert _methods(bed) == [f"exec vm {STOP_PROGRAM}", "kill vm", f"exec c {STOP_PROGRAM}", "kill c"]


def test_guests_are_frozen_with_their_host(bed: Bed) -> None:
    _off(bed, "c", FREEZE)
    assert bed.kernel.done == ["stop c", "stop vm"]


def test_guests_come_back_with_their_host(bed: Bed) -> None:
    _off(bed, "c")
    bed.runtime.calls.clear()
    effect = _on(bed, "c")
    assert effect.detail["guests"] == "vm"
    assert [word for word in _methods(bed) if word.startswith("boot")] == ["boot c", "boot vm"]
    assert bed.in_force == []
    assert bed.kernel.carrier("c:lt3")


def test_a_guest_has_no_power_of_its_own(bed: Bed) -> None:
    _off(bed, "c")
    with pytest.raises(ActionError, match="vm runs on c, which has no power"):
        _on(bed, "vm")
    assert bed.in_force == ["power-off c", "power-off vm"]


# On.


def test_power_comes_back_in_a_fresh_namespace_with_every_link(bed: Bed) -> None:
    old = bed.kernel.holder("a:lt1")
    _off(bed, "a")
    bed.kernel.done.clear()
    effect = _on(bed, "a")
    assert bed.kernel.done == ["move a:lt1", "move a:lt2", "up a:lt1", "up a:lt2"]
    assert bed.kernel.holder("a:lt1") == bed.kernel.holder("a:lt2") != old
    assert all(bed.kernel.carrier(end) for end in ("a:lt1", "b:lt1", "a:lt2", "c:lt1"))
    assert all(seen.t_ns for seen in effect.carriers)
    assert bed.in_force == []
    assert processes.pinned(bed.lab.parked / "a") is None


def test_power_on_of_a_running_node_changes_nothing_but_the_ledger(bed: Bed) -> None:
    effect = _on(bed, "a")
    assert effect.detail == {"already": True}
    assert not [word for word in bed.kernel.done if not word.startswith("continue")]
    assert _methods(bed) == []


def test_a_frozen_node_is_thawed_and_not_booted(bed: Bed) -> None:
    _off(bed, "a", FREEZE)
    effect = _on(bed, "a")
    assert effect.detail == {"thawed": True}
    assert _methods(bed) == []
    assert bed.in_force == []
    assert bed.runtime.states(bed.lab)["a"].status is NodeStatus.RUNNING


def test_a_node_that_died_by_itself_gets_its_links_back(bed: Bed) -> None:
    bed.runtime.kill(bed.lab, "a")
    _on(bed, "a")
    assert bed.kernel.carrier("b:lt1")
    assert processes.pinned(bed.lab.parked / "a") is None


def test_a_node_whose_namespace_is_gone_cannot_come_back(bed: Bed) -> None:
    bed.runtime.kill(bed.lab, "a")
    bed.kernel.lose(bed.lab.netns / "a")
    with pytest.raises(ActionError, match="the links of a are lost"):
        _on(bed, "a")
    assert "boot a" not in _methods(bed)


def test_a_power_on_that_fails_leaves_the_fault_in_the_ledger(bed: Bed) -> None:
    _off(bed, "a")
    bed.runtime.failures["boot a"] = ActionError("no memory")
    with pytest.raises(ActionError, match="no memory"):
        _on(bed, "a")
    assert bed.in_force == ["power-off a"]
    _on(bed, "a")
    assert bed.in_force == []
    assert bed.kernel.carrier("b:lt1")


def test_a_cut_that_died_between_links_and_kill_is_undone(bed: Bed, monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(bed.runtime, "kill", _killed)
        with pytest.raises(KeyboardInterrupt):
            _off(bed, "a")
    assert bed.in_force == ["power-off a"]
    _on(bed, "a")
    assert bed.runtime.states(bed.lab)["a"].status is NodeStatus.RUNNING
    assert bed.kernel.carrier("b:lt1")
    assert bed.kernel.carrier("c:lt1")
    assert bed.in_force == []


def _killed(_lab: object, _node: str) -> None:
    raise KeyboardInterrupt


@pytest.mark.parametrize(("node", "peer"), ["ab", "ba"])
def test_a_cut_link_stays_cut_when_its_node_comes_back(bed: Bed, node: str, peer: str) -> None:
    cut_link(bed.runtime, bed.lab, "a", "b", silent)
    _off(bed, node)
    _on(bed, node)
    # The node's boot program takes its own ends up: the peer's end keeps the link down.
    assert bed.kernel.up(f"{node}:lt1")
    assert not bed.kernel.up(f"{peer}:lt1")
    assert bed.kernel.carrier(f"{node}:lt2")
    assert bed.in_force == ["link-cut a:lt1-b:lt1"]


def test_a_black_hole_is_closed_again_before_its_interface_is_up(bed: Bed) -> None:
    blackhole_node(bed.runtime, bed.lab, "a", silent)
    _off(bed, "a")
    before_up: list[bool] = []

    def look(change: str) -> None:
        if change.startswith("up a:"):
            before_up.append(bed.hole(change.removeprefix("up ")))

    bed.kernel.before_change = look
    _on(bed, "a")
    assert before_up == [True, True]
    assert bed.in_force == ["node-blackhole a"]


def test_interfaces_that_a_node_holds_are_not_taken_up_for_it(bed: Bed) -> None:
    _change(bed, "a", labels={"labctl-holds": "lt2"})
    _off(bed, "a")
    effect = _on(bed, "a")
    assert bed.kernel.up("a:lt1")
    assert not bed.kernel.up("a:lt2")
    assert [seen.node for seen in effect.carriers] == ["b"]


def test_commands_that_run_after_every_boot_run_again(bed: Bed) -> None:
    _change(bed, "a", exec=("ip route add default via 'x y'", "false"))
    _off(bed, "a")
    bed.runtime.calls.clear()
    bed.runtime.failures["exec a"] = ActionError("no such command")
    # One that fails does not keep the others from it; the node has power all the same.
    with pytest.raises(NodeError, match="of its `exec`: no such command"):
        _on(bed, "a")
    assert not faults(bed.lab)
    booted = _methods(bed).index("boot a")
    assert _methods(bed)[booted + 1 :] == ["exec a ip route add default via x y", "exec a false"]
