from typing import Annotated, Any, Literal

import pytest
from pydantic import (
    BaseModel,
    ConfigDict,
    Discriminator,
    Field,
    Tag,
    TypeAdapter,
    ValidationError,
    field_validator,
)

from labctl.document.document import Document
from labctl.document.problems import problems_from
from labctl.document.tree import parse


class Strict(BaseModel):
    model_config = ConfigDict(extra="forbid")


class Cat(Strict):
    kind: Literal["cat"]
    lives: Annotated[int, Field(ge=1, lt=10)] = 9


class Dog(Strict):
    kind: Literal["dog"]
    tricks: list[str] = []


class Stick(Strict):
    length: int = 1


class Home(Strict):
    from_: Annotated[str, Field(alias="from")] = ""
    pets: dict[str, Annotated[Cat | Dog, Field(discriminator="kind")]] = {}
    toys: list[
        Annotated[
            Annotated[Stick, Tag("stick")] | Annotated[str, Tag("name")],
            Discriminator(lambda value: "stick" if isinstance(value, dict) else "name"),
        ]
    ] = []
    size: tuple[int, int] | None = None
    choice: Literal["a", "b"] = "a"
    checked: str = ""
    one_of: Cat | Dog | None = None

    @field_validator("checked")
    @classmethod
    def _check(cls, value: str) -> str:
        if value == "bad":
            raise ValueError("it must not be bad")
        return value


def said(text: str, model: Any = Home) -> list[str]:
    document = Document("a.yml", parse(text, "a.yml"), text)
    with pytest.raises(ValidationError) as caught:
        TypeAdapter(model).validate_python(document.data)
    return [str(problem) for problem in problems_from(caught.value, document, model)]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("form: x", "a.yml:1:1: unknown key 'form' (did you mean 'from'?)"),
        ("pets: {tom: {kind: cat, live: 3}}", "a.yml:1:25: unknown key 'live' (did you mean 'lives'?)"),
        ("pets: {rex: {kind: dog, trick: []}}", "a.yml:1:25: unknown key 'trick' (did you mean 'tricks'?)"),
        ("toys: [ball, {lenght: 3}]", "a.yml:1:15: unknown key 'lenght' (did you mean 'length'?)"),
        ("toys: [[1]]", "a.yml:1:8: expected text, not a list of 1"),
        ("pets: {tom: {lives: 3}}", "a.yml:1:13: unable to extract tag using discriminator 'kind'"),
        ("pets: {tom: {kind: cow}}", "a.yml:1:13: input tag 'cow' found using 'kind' does not match"),
        ("pets: {tom: {kind: cat, lives: 0}}", "a.yml:1:32: expected at least 1, not 0"),
        ("pets: {tom: {kind: cat, lives: 10}}", "a.yml:1:32: expected less than 10, not 10"),
        ("pets: {tom: {kind: cat, lives: many}}", "a.yml:1:32: expected a whole number, not 'many'"),
        ("pets: [tom]", "a.yml:1:7: expected a mapping, not a list of 1"),
        ("size: [1]", "a.yml:1:7: item 2 is missing"),
        ("size: [1, 2, 3]", "a.yml:1:7: expected at most 2 items, not 3"),
        ("choice: c", "a.yml:1:9: expected 'a' or 'b', not 'c'"),
        ("checked: bad", "a.yml:1:10: it must not be bad"),
        ("checked: {n}", 'a.yml:1:10: expected text, not a mapping (write a variable in quotes: "{n}")'),
    ],
)
def test_an_error_is_told_in_plain_words_at_its_place(text: str, expected: str) -> None:
    (only,) = said(text)
    assert only.startswith(expected)


def test_all_errors_are_told() -> None:
    assert len(said("choice: c\nform: x\nsize: 3\n")) == 3


def test_members_of_a_plain_union_are_named_by_their_own_keys() -> None:
    found = said("one_of: {kind: cat, live: 1}")
    assert "a.yml:1:21: unknown key 'live' (did you mean 'lives'?)" in found


def test_a_part_of_a_document_may_be_validated_by_itself() -> None:
    text = "pets:\n  tom: {kind: cat, live: 3}\n"
    document = Document("a.yml", parse(text, "a.yml"), text)
    with pytest.raises(ValidationError) as caught:
        Cat.model_validate(document.data["pets"]["tom"])
    (only,) = problems_from(caught.value, document, Cat, ("pets", "tom"))
    assert str(only) == "a.yml:2:20: unknown key 'live' (did you mean 'lives'?)"


def test_without_a_model_there_is_no_hint_but_a_place() -> None:
    document = Document("a.yml", parse("form: x", "a.yml"))
    with pytest.raises(ValidationError) as caught:
        Home.model_validate(document.data)
    assert str(problems_from(caught.value, document)[0]) == "a.yml:1:1: unknown key 'form'"
