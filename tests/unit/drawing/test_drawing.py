"""Drawings: every node and link is there, nothing overlaps, and the text is what its format asks for."""

from __future__ import annotations

import itertools
from ipaddress import IPv4Interface
from xml.etree import ElementTree as ET

import pytest
from hypothesis import given
from hypothesis import strategies as st

from labctl.drawing import dot, mermaid, svg
from labctl.drawing.layout import place
from labctl.model.lab import Endpoint, Lab, LinkPlan, NodePlan

SVG = "{http://www.w3.org/2000/svg}"


def lab_of(count: int, pairs: list[tuple[int, int]]) -> Lab:
    nodes = tuple(
        NodePlan(f"n{i}", "router", i, loopback4=IPv4Interface(f"10.0.0.{i}/32")) for i in range(count)
    )
    ends = [(Endpoint(f"n{a}", f"e{i}"), Endpoint(f"n{b}", f"f{i}")) for i, (a, b) in enumerate(pairs)]
    return Lab("drawn", nodes, tuple(LinkPlan(i, a, b) for i, (a, b) in enumerate(ends)))


def ring(count: int) -> Lab:
    return lab_of(count, [(i, (i + 1) % count) for i in range(count)])


@st.composite
def labs(draw: st.DrawFn) -> Lab:
    count = draw(st.integers(1, 14))
    node = st.integers(0, count - 1)
    pairs = draw(st.lists(st.tuples(node, node).filter(lambda pair: pair[0] != pair[1]), max_size=30))
    return lab_of(count, pairs)


@given(labs())
def test_no_two_boxes_of_any_drawing_overlap(lab: Lab) -> None:
    spots = place(lab, dx=svg.DX, dy=svg.DY)
    assert set(spots) == {node.name for node in lab.nodes}
    for (ax, ay), (bx, by) in itertools.combinations(spots.values(), 2):
        assert abs(ax - bx) >= svg.WIDTH or abs(ay - by) >= svg.HEIGHT


@pytest.mark.parametrize("count", [3, 4, 5, 12, 30, 100])
def test_no_two_boxes_of_a_ring_overlap(count: int) -> None:
    spots = place(ring(count), dx=svg.DX, dy=svg.DY)
    for (ax, ay), (bx, by) in itertools.combinations(spots.values(), 2):
        assert abs(ax - bx) >= svg.WIDTH or abs(ay - by) >= svg.HEIGHT


@given(labs())
def test_svg_is_well_formed_and_holds_every_node_and_link_within_its_frame(lab: Lab) -> None:
    root = ET.fromstring(svg.draw(lab))  # noqa: S314 - our own text
    width, height = float(root.get("width", "0")), float(root.get("height", "0"))
    boxes = list(root.iter(f"{SVG}rect"))
    assert len(boxes) == len(lab.nodes)
    assert len(list(root.iter(f"{SVG}line"))) == len(lab.links)
    for box in boxes:
        x, y = float(box.get("x", "")), float(box.get("y", ""))
        assert 0 <= x <= width - svg.WIDTH
        assert 0 <= y <= height - svg.HEIGHT


@given(labs())
def test_mermaid_and_dot_hold_every_node_and_link(lab: Lab) -> None:
    assert mermaid.draw(lab).count(" --- ") == len(lab.links)
    assert dot.draw(lab).count(" -- ") == len(lab.links)
    for node in lab.nodes:
        assert f'"{node.name}"' in mermaid.draw(lab)
        assert f'"{node.name}" [' in dot.draw(lab)


def test_a_path_is_drawn_from_the_first_node_of_the_file_to_the_last() -> None:
    spots = place(lab_of(4, [(0, 1), (1, 2), (2, 3)]), dx=1.0, dy=1.0)
    assert [spots[f"n{i}"][0] for i in range(4)] == [0.0, 1.0, 2.0, 3.0]


def test_names_cannot_break_out_of_the_formats() -> None:
    lab = Lab('a"b<c', (NodePlan('x"<&', "router", 0), NodePlan("y", "router", 1)), ())
    ET.fromstring(svg.draw(lab))  # noqa: S314 - our own text
    assert '"x\\"<&" [' in dot.draw(lab)
    assert 'label="x\\"<&\\n' in dot.draw(lab)
    assert "x#quot;<&" in mermaid.draw(lab)


@pytest.mark.parametrize(
    ("acts_as", "dot_shape", "mermaid_shape"),
    [
        ("host", "ellipse", '(["n"])'),
        ("guest", "ellipse", '(["n"])'),
        ("gateway", "hexagon", '{{"n"}}'),
        ("switch", "parallelogram", '[/"n"/]'),
        ("router", "box", '["n"]'),
        ("", "box", '["n"]'),
    ],
)
def test_a_node_is_drawn_as_what_it_acts_as_whatever_its_role_is_called(
    acts_as: str, dot_shape: str, mermaid_shape: str
) -> None:
    lab = Lab("drawn", (NodePlan("n", "switch", 0, acts_as=acts_as),), ())
    assert f"[shape={dot_shape}, " in dot.draw(lab)
    assert f"n0{mermaid_shape}\n" in mermaid.draw(lab)
    assert f'<g class="{acts_as}">' in svg.draw(lab)
