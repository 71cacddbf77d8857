"""Tenants that come back one by one, and designs side by side, from journals of make-believe."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
from make_believe import SECOND

from labctl.events import Event
from labctl.report.compare import HEADS, compare_page, rows
from labctl.report.compare_data import design_of, quantile, share_out
from labctl.report.staircase import staircase_page
from labctl.report.staircase_data import PYTHON, staircase_of
from labctl.verdict import judge

if TYPE_CHECKING:
    from make_believe import Bench

    from labctl.report.staircase_data import Staircase
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


def test_designs_stand_side_by_side_in_table_and_page(bench: Bench) -> None:
    clean = design_of(bench.judge(), "clean")
    serial = design_of(out_of_service(bench, list(range(TENANTS))).judge(), "<serial>")
    table = rows([clean, serial])
    assert {len(row) for row in table} == {len(HEADS)}
    assert [row[0] for row in table] == ["clean", "<serial>"]
    assert table[0][5].startswith("none")
    text = compare_page([clean, serial], {})
    assert "&lt;serial&gt;" in text
    assert "<serial>" not in text
    assert text.count("<svg") == 2
