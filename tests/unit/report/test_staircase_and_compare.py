"""Tenants that come back one by one, and designs side by side, from journals of fake labs."""

from __future__ import annotations

from dataclasses import replace
from itertools import accumulate, pairwise
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from make_believe import SECOND, Bench

from labctl.cli.compare import command
from labctl.errors import InputError
from labctl.events import Event
from labctl.report.compare import HEADS, compare_page, opening, rows, run_facts
from labctl.report.compare_data import design_of, quantile, share_out, shared
from labctl.report.staircase import staircase_page
from labctl.report.staircase_data import PYTHON, CommandKind, Staircase, TenantOutage, staircase_of
from labctl.report.staircase_estimate import estimate
from labctl.verdict import judge

if TYPE_CHECKING:
    from labctl.verdict import Result

TENANTS = 8
STEP_MS = 200


def out_of_service(bench: Bench, order: list[int]) -> Bench:
    """Flow ``order[n]`` is out until (n + 1) steps after the fault."""
    for place, flow in enumerate(order):
        bench.lose(0, STEP_MS * (place + 1), flows=[flow])
    return bench


def controller(zero_ns: int, tenants: int) -> list[Event]:
    """What a controller writes that takes a step a tenant, two commands each."""

    def told(kind: str, t_ns: int, **data: object) -> Event:
        return Event("node.event", t_ns, {"node": "nc2", "kind": kind, "data": data})

    begin = zero_ns + 2 * SECOND + 50_000_000
    events = [
        told("cluster.active", begin),
        told("service.started", begin, root_helper="rootwrap"),
        told("segment", begin, segment="VXLAN", reason="no VLAN"),
        told("database.read", begin, networks=tenants),
    ]
    for index in range(tenants):
        moment = begin + index * STEP_MS * 1_000_000
        events += [
            told("network.started", moment, index=index, label=f"tenant{index + 1}"),
            told("command", moment, program="ip", network=index, ns=1_000_000, code=0),
            told("command", moment, program="iptables-save", network=index, ns=3_000_000, code=0),
            told("apply", moment, ns=4_000_000, edit_ns=500_000, rules=9, skipped=False),
            told("network.done", moment + 100_000_000, index=index, label="x", commands=2),
        ]
    end = begin + tenants * STEP_MS * 1_000_000
    return [
        *events,
        told("networks.done", end, networks=tenants),
        told("queue.connected", end + 1, server="q"),
    ]


def climbed(bench: Bench, order: list[int]) -> tuple[Result, Staircase]:
    events = out_of_service(bench, order).events()
    zero = next(event.t_ns for event in events if event.kind == "timeline.started")
    result = judge(events)
    (run,) = result.runs
    named = tuple(replace(one, name="gateways") if one.name == "in" else one for one in run.streams)
    result = replace(result, runs=(replace(run, streams=named),))
    stairs = staircase_of(result, [*events, *controller(zero, TENANTS)])
    assert stairs is not None
    return result, stairs


def test_each_tenant_has_its_outage_and_its_share_of_the_work(bench: Bench) -> None:
    _, stairs = climbed(bench, list(range(TENANTS)))
    assert [tenant.label for tenant in stairs.tenants] == [f"tenant{n + 1}" for n in range(TENANTS)]
    for place, tenant in enumerate(stairs.tenants):
        assert tenant.answered_s == pytest.approx((place + 1) * STEP_MS / 1000, abs=0.05)
        assert (tenant.commands, tenant.iptables_s, tenant.other_s) == (2, 0.003, 0.001)
    assert stairs.in_order
    assert stairs.forgotten == ()
    assert stairs.commands == 2 * TENANTS
    assert stairs.queue_s is not None
    assert stairs.networks_s is not None
    assert stairs.queue_s > stairs.networks_s


def test_tenants_out_of_order_are_found_out(bench: Bench) -> None:
    _, stairs = climbed(bench, [0, 1, 2, 6, 4, 5, 3, 7])
    assert not stairs.in_order


def test_a_tenant_that_never_answers_is_named(bench: Bench) -> None:
    bench.lose(0, 60_000, flows=[5])
    _, stairs = climbed(bench, [0, 1, 2, 3, 4, 6, 7])
    assert stairs.forgotten == ("tenant6",)


def test_kinds_of_commands_stand_with_the_costliest_first(bench: Bench) -> None:
    _, stairs = climbed(bench, list(range(TENANTS)))
    assert [(kind.name, kind.count) for kind in stairs.kinds] == [
        ("iptables-save", TENANTS),
        ("ip", TENANTS),
        (PYTHON, TENANTS),
    ]


def climb(costs: list[float]) -> Staircase:
    """A staircase whose networks cost so many seconds each, the first one begun after three."""
    ends = list(accumulate(costs, initial=3.0))
    tenants = tuple(
        TenantOutage(index, f"tenant{index + 1}", 0.0, end, end, begin, end, 28, end - begin, 0.0)
        for index, (begin, end) in enumerate(pairwise(ends))
    )
    kinds = (CommandKind("ip", 28 * len(costs), sum(costs)),)
    return Staircase("power-off nc1", "nc2", {}, "", 3.0, 3.0, ends[-1], ends[-1], kinds, tenants, 0.01)


def test_an_estimate_for_many_networks_grows_as_those_that_were_measured() -> None:
    costs = [2.0 + 0.1 * place for place in range(30)]
    guess = estimate(climb(costs), 100)
    assert guess is not None
    whole = 3.0 + sum(2.0 + 0.1 * place for place in range(100))
    assert guess.growth_s == pytest.approx(0.1)
    assert guess.growing_s[-1] == pytest.approx(whole)
    assert guess.growing_s[29] == pytest.approx(3.0 + sum(costs))
    assert guess.flat_s[-1] == pytest.approx(3.0 + 100 * sum(costs) / 30)
    # Half of the time is gone well after the middle of the range, since the late ones cost more.
    first, last = guess.places(whole / 2, whole / 2, whole)
    assert first == last == next(place + 2 for place in range(100) if guess.growing_s[place + 1] > whole / 2)


def test_few_networks_say_nothing_of_growth() -> None:
    guess = estimate(climb([1.0] * 24), 100)
    assert guess is not None
    assert guess.growing_s == ()
    assert guess.flat_s[-1] == pytest.approx(103.0)
    assert estimate(climb([]), 100) is None


def test_a_cost_that_falls_by_chance_is_taken_for_no_growth() -> None:
    guess = estimate(climb([5.0 - 0.1 * place for place in range(30)]), 100)
    assert guess is not None
    assert guess.growth_s == 0.0
    assert guess.growing_s == pytest.approx(guess.flat_s)


def test_the_page_says_what_the_run_means_for_the_talks_hundred_networks(bench: Bench) -> None:
    result, _ = climbed(bench, list(range(TENANTS)))
    few = staircase_page(result, climb([5.0] * 30))
    assert "503 s (8.4 min)" in few
    assert "place 40 to 46 of 100" in few
    assert "measured, not estimated" in staircase_page(result, climb([5.0] * 100))


def test_a_journal_without_a_controller_has_no_staircase(bench: Bench) -> None:
    events = bench.events()
    assert staircase_of(judge(events), events) is None


def test_the_page_escapes_what_nodes_wrote(bench: Bench) -> None:
    result, stairs = climbed(bench, list(range(TENANTS)))
    nasty = replace(stairs, segment="<script>alert(1)</script>")
    text = staircase_page(result, nasty)
    assert "<script" not in text
    assert "tenant8" in text


def test_the_share_of_flows_without_service_falls_step_by_step(bench: Bench) -> None:
    design = design_of(out_of_service(bench, list(range(TENANTS))).judge(), "serial")
    assert (design.name, design.failovers, design.flows, design.hit) == ("serial", 1, 2 * TENANTS, TENANTS)
    assert share_out(design, 0.1) == 0.5
    assert share_out(design, 0.9) == 0.25
    assert share_out(design, 3.0) == 0.0
    assert quantile(design, 0.5) == 0.0
    assert quantile(design, 1.0) == pytest.approx(1.6, abs=0.05)


@pytest.mark.slow
def test_designs_stand_side_by_side_in_table_and_page(bench: Bench) -> None:
    clean = design_of(bench.judge(), "clean")
    serial = design_of(out_of_service(bench, list(range(TENANTS))).judge(), "<serial>")
    table = rows([clean, serial])
    assert {len(row) for row in table} == {len(HEADS)}
    assert [row[0] for row in table] == ["clean", "<serial>"]
    assert table[0][5].startswith("none")
    text = compare_page([clean, serial], {})
    assert opening([clean, serial]).startswith("clean: 0 packets lost to convergence at 1 fail-over, longest")
    assert '<p class="lead">clean: 0 packets lost' in text, "the page opens with it"
    assert "&lt;serial&gt;" in text
    assert "<serial>" not in text


def test_what_the_numbers_depend_on_stands_beside_them(bench: Bench) -> None:
    design = design_of(out_of_service(bench, list(range(TENANTS))).judge(seed=11), "serial")
    (facts,) = run_facts([design])
    assert facts["fault"].startswith("power-off gw1; 1 run, seed 11, ")
    # One fail-over, and it lost packets: no share of fail-overs can be ruled out.
    assert (
        facts["fail-overs with convergence loss"] == "1 of 1; too few without loss to bound the failure rate"
    )
    assert "kernel" in compare_page([design], {})


def test_streams_that_designs_share_are_laid_side_by_side_flow_by_flow(bench: Bench, tmp_path: Path) -> None:
    serial = design_of(out_of_service(bench, list(range(TENANTS))).judge(), "serial")
    clean = design_of(Bench(tmp_path / "clean").judge(), "clean")
    assert shared([serial, clean]) == ("in", "out")
    stairs = [flow.seconds for flow in serial.streams["in"].flows]
    assert stairs == pytest.approx([(n + 1) * STEP_MS / 1000 for n in range(TENANTS)], abs=0.05)
    assert serial.streams["in"].hit == TENANTS
    assert clean.streams["in"].hit == 0
    text = compare_page([serial, clean], {})
    # Two plots of all flows, and one of each stream with a dot for every flow of every design.
    assert text.count("<svg") == 2 + 2
    assert text.count("<circle") == 2 * 2 * TENANTS
    assert f"{TENANTS} of {TENANTS}: 1.6 s" in text


def test_streams_of_the_same_name_but_another_rate_are_not_the_same_traffic(
    bench: Bench, tmp_path: Path
) -> None:
    slow = design_of(bench.judge(), "slow")
    quick = design_of(Bench(tmp_path / "quick", rate=1280.0).judge(), "quick")
    assert shared([slow, quick]) == ()
    assert compare_page([slow, quick], {}).count("<svg") == 2


def test_a_flow_that_never_comes_back_is_told_apart_from_a_long_outage(bench: Bench, tmp_path: Path) -> None:
    gone = design_of(bench.lose(0, 60_000, flows=[3]).judge(), "gone")
    other = design_of(Bench(tmp_path / "other").judge(), "other")
    assert gone.streams["in"].longest.open
    assert "1 of 8: never back" in compare_page([gone, other], {})
    assert [row[5].endswith(", not over") for row in rows([gone, other])] == [True, False]


def test_a_folder_of_several_scenarios_is_compared_as_its_folders(tmp_path: Path) -> None:
    for later_ns, name in enumerate(("b-design", "a-design")):
        measured = Bench(tmp_path / "all" / name)
        measured.backend.now += later_ns  # at the same nanoseconds it would be one measurement, copied
        measured.events()
    page = tmp_path / "page.html"
    assert command([tmp_path / "all"], page) == 0
    assert page.read_text().index("a-design") < page.read_text().index("b-design")
    assert command([Path(f"old={tmp_path}/all/a-design"), tmp_path / "all" / "b-design"], page) == 0
    assert "<title>Compared: old · bench</title>" in page.read_text()


def test_a_folder_without_results_is_told_by_name(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="nothing-here"):
        command([tmp_path / "nothing-here"], tmp_path / "page.html")
    assert not (tmp_path / "page.html").exists()


@pytest.mark.parametrize("data", [{}, {"index": "one"}, {"program": 1, "ns": None}, [], None])
def test_what_a_program_in_a_node_wrote_in_another_shape_is_passed_over(bench: Bench, data: object) -> None:
    events = out_of_service(bench, [0, 1]).events()
    zero = next(event.t_ns for event in events if event.kind == "timeline.started")
    strange = [
        Event("node.event", zero + 3 * SECOND, {"node": "nc2", "kind": kind, "data": data})
        for kind in ("network.started", "network.done", "command", "apply", "segment")
    ]
    told = [*events, *controller(zero, 2), *strange, Event("node.event", zero, {"node": 1})]
    assert staircase_of(judge(events), told) == staircase_of(judge(events), told[: -len(strange) - 1])
