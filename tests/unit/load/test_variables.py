import pytest
from hypothesis import given
from hypothesis import strategies as st

from labctl.document.document import Document, Position
from labctl.document.tree import parse
from labctl.errors import InputError
from labctl.load.variables import MAX_FILLED, Filler, read_vars, substituted

HERE = Position(1, 1)


def document(text: str) -> Document:
    return Document("a.yml", parse(text, "a.yml"), text)


def fill(text: str, values: dict[str, object]) -> object:
    return Filler(values, "a.yml").fill(text, HERE)  # type: ignore[arg-type]


def refused(text: str, values: dict[str, object]) -> str:
    with pytest.raises(InputError) as caught:
        fill(text, values)
    return str(caught.value)


@pytest.mark.parametrize(
    ("text", "filled"),
    [
        ("r[1-{n}]", "r[1-7]"),
        ("{n}", 7),
        ("{n+1}", 8),
        ("{ n - 1 }", 6),
        ("{n}{n}", "77"),
        ("{name}-{flag}", "lab-true"),
        ("{flag}", True),
        ("{{n}}", "{n}"),
        ("{{{n}}}", "{7}"),
        ("{none}x", "x"),
        ("plain", "plain"),
    ],
)
def test_variables_are_filled_in(text: str, filled: object) -> None:
    values = {"n": 7, "name": "lab", "flag": True, "none": None}
    assert fill(text, values) == filled


def test_what_cannot_be_filled_in_is_told() -> None:
    assert refused("{size}", {"sizes": 1}) == "a.yml:1:1: unknown variable 'size' (did you mean 'sizes'?)"
    assert "no vars" in refused("{size}", {})
    assert "a lone '{'" in refused("a{", {})
    assert "a lone '}'" in refused("a}", {})
    assert "needs a whole number, n is 'x'" in refused("{n+1}", {"n": "x"})
    assert "needs a whole number, n is True" in refused("{n+1}", {"n": True})
    assert "is no variable" in refused("{n*2}", {"n": 1})
    assert "is no variable" in refused("{}", {"n": 1})
    assert refused("{a}{b}", {}).count("unknown variable") == 2


@given(st.text("{}ab+-1 "))
def test_any_text_is_filled_in_or_refused(text: str) -> None:
    try:
        filled = fill(text, {"a": 1, "b": "x"})
    except InputError as error:
        problems = error.problems
    else:
        assert "{" in text or "}" in text or filled == text
        return
    assert problems


@given(st.text())
def test_doubled_braces_stand_for_themselves(text: str) -> None:
    assert fill(text.replace("{", "{{").replace("}", "}}"), {}) == text


@pytest.mark.parametrize(
    ("like", "given_text", "value"),
    [
        ("3", "5", 5),
        ("3", "-5", -5),
        ("1.5", "2", 2.0),
        ("true", "no", False),
        ("false", "true", True),
        ("text", "5", "5"),
        ("text", "a=b", "a=b"),
        ('"3"', "5", "5"),
        ("~", "x", "x"),
    ],
)
def test_set_takes_the_type_of_the_variable(like: str, given_text: str, value: object) -> None:
    values, problems = read_vars(document(f"vars: {{v: {like}}}"), [f"v={given_text}"])
    assert not problems
    assert values == {"v": value}
    assert type(values["v"]) is type(value)


@pytest.mark.parametrize(
    ("sets", "said"),
    [
        (["n=x"], "--set n=x: expected a whole number for n, as in the file (3)"),
        (["n="], "--set n=: expected a whole number for n, as in the file (3)"),
        (["n=" + "9" * 30], "expected a whole number"),
        (["m=1"], "--set m=1: a.yml has no variable 'm' (known: flag, n)"),
        (["nn=1"], "did you mean 'n'?"),
        (["n"], "--set n: expected name=value"),
        (["=3"], "--set =3: expected name=value"),
        (["flag=maybe"], "expected true or false for flag"),
    ],
)
def test_set_is_refused_with_a_reason(sets: list[str], said: str) -> None:
    _, problems = read_vars(document("vars: {n: 3, flag: true}"), sets)
    assert len(problems) == 1
    assert said in str(problems[0])


def test_the_last_set_wins() -> None:
    assert read_vars(document("vars: {n: 3}"), ["n=4", "n=5"])[0] == {"n": 5}


def test_a_variable_may_use_those_before_it() -> None:
    values, problems = read_vars(document('vars: {n: 3, m: "{n+1}", name: "r{m}"}'), ["n=9"])
    assert not problems
    assert values == {"n": 9, "m": 10, "name": "r10"}
    assert "unknown variable 'm'" in str(read_vars(document('vars: {n: "{m}", m: 1}'), [])[1][0])


def test_vars_of_another_shape_are_refused() -> None:
    assert "expected a mapping" in str(read_vars(document("vars: [1]"), [])[1][0])


def test_the_whole_document_is_filled_in_and_every_problem_told() -> None:
    filled = substituted(document('a: "{n}"\n"b{n}": ["x{n}"]'), {"n": 2})
    assert filled.data == {"a": 2, "b2": ["x2"]}
    with pytest.raises(InputError) as caught:
        substituted(document('a: "{p}"\nb: "{q}"'), {})
    assert [problem.line for problem in caught.value.problems] == [1, 2]


def test_braces_in_a_text_of_several_lines_may_be_there_for_their_own_sake() -> None:
    text = "table inet filter {\n  chain c { policy accept; }\n  # {n} {n-1}\n}\n"
    assert fill(text, {"n": 7}) == text.replace("{n}", "7").replace("{n-1}", "6")
    with pytest.raises(InputError, match="unknown variable 'm'"):
        fill("{\n{m}\n", {"n": 7})


def test_variables_of_variables_cannot_fill_the_memory() -> None:
    lines = ["vars:", f"  v0: {'x' * 100}"]
    lines += [
        f'  v{number}: "{"{v" + str(number - 1) + "}"}{"{v" + str(number - 1) + "}"}"'
        for number in range(1, 60)
    ]
    values, problems = read_vars(document("\n".join(lines)), [])
    assert "variables make the file more than" in str(problems[0])
    assert sum(len(str(value)) for value in values.values()) < 3 * MAX_FILLED
    with pytest.raises(InputError, match="variables make the file more than"):
        substituted(
            document("\n".join(f'k{number}: "x{{v}}"' for number in range(1000))), {"v": "y" * 10_000}
        )
