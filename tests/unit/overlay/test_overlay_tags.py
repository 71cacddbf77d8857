"""The index of tags against the slow and obvious way."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from labctl.overlay.simulation.dependencies import TagIndex, matches, route_change_tag, route_tag

names = st.sampled_from(["a", "b"])
addresses = st.integers(0, 15).map(lambda number: number << 124)
exact = st.sampled_from(["port:x", "net:y", "mac:a:00", "gateways"])
held = exact | st.builds(lambda r, a: route_tag(r, a.to_bytes(16, "big")), names, addresses)
lengths = st.integers(0, 8)


def whole(number: int, bits: int) -> int:
    return number >> (128 - bits) << (128 - bits)


changed = exact | st.builds(
    lambda router, number, bits: route_change_tag(router, whole(number, bits), bits),
    names,
    addresses,
    lengths,
)


def slowly(tag: str, change: str) -> bool:
    if tag == change:
        return True
    if not (tag.startswith("to:") and change.startswith("to:")):
        return False
    (_, router, address), (_, other, prefix) = tag.split(":"), change.split(":")
    first, bits = prefix.split("/")
    shift = 128 - int(bits)
    return router == other and int(address, 16) >> shift == int(first, 16) >> shift


@given(
    st.lists(st.tuples(st.integers(0, 5), st.frozensets(held, max_size=5)), max_size=12),
    st.sets(st.integers(0, 5)),
    st.frozensets(changed, max_size=4),
)
def test_a_change_touches_those_that_hold_one_of_its_tags(
    added: list[tuple[int, frozenset[str]]], removed: set[int], change: frozenset[str]
) -> None:
    index: TagIndex[int] = TagIndex()
    known: dict[int, frozenset[str]] = {}
    for flow, tags in added:
        index.add(flow, tags)
        known[flow] = tags
    for flow in removed:
        index.remove(flow)
        known.pop(flow, None)
    expected = {
        flow for flow, tags in known.items() if any(slowly(tag, one) for tag in tags for one in change)
    }
    assert index.touched(change) == expected
    assert len(index) == len(known)
    for flow, tags in known.items():
        assert matches(tags, change) == (flow in expected)


def test_nothing_is_left_of_flows_that_are_gone() -> None:
    index: TagIndex[int] = TagIndex()
    for flow in range(100):
        index.add(flow, frozenset((f"port:{flow}", route_tag("r", flow.to_bytes(16, "big")))))
    for flow in range(100):
        index.remove(flow)
    assert not index._exact
    assert not index._tags_of
    assert not any(index._routes.values())
