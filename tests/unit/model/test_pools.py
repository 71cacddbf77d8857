import pytest
from hypothesis import given
from hypothesis import strategies as st

from labctl.model.pools import PlanError, Taken, assign
from labctl.model.segments import components

spans = st.tuples(st.integers(0, 100), st.integers(0, 10)).map(lambda pair: (pair[0], sum(pair)))


@given(st.lists(spans), spans)
def test_overlap_is_what_counting_says(taken: list[tuple[int, int]], asked: tuple[int, int]) -> None:
    numbers = {number for first, last in taken for number in range(first, last + 1)}
    expected = any(number in numbers for number in range(asked[0], asked[1] + 1))
    assert Taken(taken).overlaps(*asked) == expected


@given(
    st.lists(st.integers(0, 40), unique=True),
    st.integers(0, 40),
    st.sets(st.integers(0, 40)),
    st.integers(0, 3),
)
def test_slots_are_free_different_and_ones_own_where_that_can_be(
    wanted: list[int], slots: int, taken: set[int], first: int
) -> None:
    free = {slot for slot in range(first, slots) if slot not in taken}
    try:
        chosen = assign(wanted, slots, lambda slot: slot not in taken, "things", first=first)
    except PlanError:
        assert len(wanted) > len(free)
        return
    assert len(set(chosen)) == len(chosen) == len(wanted)
    assert set(chosen) <= free
    for want, have in zip(wanted, chosen, strict=True):
        assert have == want or want not in free


def test_no_room_is_told() -> None:
    with pytest.raises(PlanError, match="the pool of things has no room for 3"):
        assign([0, 1, 2], 2, lambda _: True, "things")


@given(st.lists(st.tuples(st.integers(0, 15), st.integers(0, 15))))
def test_components_are_what_walking_finds(edges: list[tuple[int, int]]) -> None:
    names = [str(number) for number in range(12)]
    pairs = [(str(a), str(b)) for a, b in edges]
    found = components(names, pairs)
    near: dict[str, set[str]] = {name: {name} for name in names}
    for a, b in pairs:
        if a in near and b in near:
            near[a].add(b)
            near[b].add(a)
    for name in names:
        reached, todo = {name}, [name]
        while todo:
            fresh = near[todo.pop()] - reached
            reached |= fresh
            todo.extend(fresh)
        assert found[name] == min(reached, key=int)
