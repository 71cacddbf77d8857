import pytest
from hypothesis import given
from hypothesis import strategies as st

from labctl.load.ranges import RangeError, expand, how_many


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("r1", ("r1",)),
        ("gw[1-3]", ("gw1", "gw2", "gw3")),
        ("r[1,3,5]", ("r1", "r3", "r5")),
        ("r[1,3-5]", ("r1", "r3", "r4", "r5")),
        ("leaf[08-11]", ("leaf08", "leaf09", "leaf10", "leaf11")),
        ("a[0-1]", ("a0", "a1")),
        ("r[2-4,1]", ("r2", "r3", "r4", "r1")),
        ("rack[1-2]srv[1-2]", ("rack1srv1", "rack1srv2", "rack2srv1", "rack2srv2")),
        ("[1-2]x", ("1x", "2x")),
        ("r[ 1 , 2 ]", ("r1", "r2")),
    ],
)
def test_ranges_stand_for_names_in_order(text: str, names: tuple[str, ...]) -> None:
    assert expand(text, 100) == names


NO_RANGES = ["r[", "r]", "r[1", "r[[1]]", "r[]", "r[a-b]", "r[1-]", "r[3-1]", "r[1;2]", "r[-1]", "r[\u0663]"]


@pytest.mark.parametrize("text", NO_RANGES)
def test_what_is_no_range_is_refused(text: str) -> None:
    with pytest.raises(RangeError):
        expand(text, 100)


def test_too_many_names_are_refused_before_they_are_made() -> None:
    with pytest.raises(RangeError, match="999999998000000001 names, expected at most 10"):
        expand("a[1-999999999]b[1-999999999]", 10)


spans = st.tuples(st.integers(0, 200), st.integers(0, 20)).map(lambda pair: (pair[0], sum(pair)))


@given(
    st.lists(spans, min_size=1, max_size=4), st.sampled_from(["r", "leaf-", ""]), st.sampled_from(["", "x"])
)
def test_every_number_of_every_span_comes_in_its_place(
    parts: list[tuple[int, int]], before: str, after: str
) -> None:
    inner = ",".join(f"{first}-{last}" for first, last in parts)
    numbers = [number for first, last in parts for number in range(first, last + 1)]
    text = f"{before}[{inner}]{after}"
    assert expand(text, 1000) == tuple(f"{before}{number}{after}" for number in numbers)
    assert how_many(text) == len(numbers)


@given(st.integers(1, 5), st.integers(0, 50), st.integers(0, 50))
def test_a_leading_zero_pads_the_whole_span(width: int, first: int, more: int) -> None:
    start = str(first).zfill(width)
    names = expand(f"n[{start}-{first + more}]", 1000)
    padded = len(start) > 1 and start.startswith("0")
    for number, name in enumerate(names, start=first):
        assert name == "n" + (str(number).zfill(width) if padded else str(number))


@given(st.text(alphabet="r[]-,019 x", max_size=20))
def test_any_text_is_expanded_or_refused_and_the_count_is_right(text: str) -> None:
    try:
        names = expand(text, 5000)
    except RangeError:
        return
    assert len(names) == how_many(text)
    assert all("[" not in name and "]" not in name for name in names)
