import json
import os
import re
import time
from pathlib import Path

import pytest
import yaml
from hypothesis import example, given
from hypothesis import strategies as st

from labctl.document.document import Document, Position, read_document
from labctl.document.files import MAX_BYTES
from labctl.document.tree import MAX_DEPTH, MAX_VALUES, parse
from labctl.errors import InputError


def document(text: str) -> Document:
    return Document("a.yml", parse(text, "a.yml"), text)


def said(text: str) -> str:
    with pytest.raises(InputError) as caught:
        parse(text, "a.yml")
    return str(caught.value)


def test_keys_and_values_know_their_places() -> None:
    found = document("name: lab\nlinks:\n  - [a, b]\n  - {a: c,\n     b: d}\n")
    assert found.position(("name",)) == Position(1, 7)
    assert found.position(("name",), key=True) == Position(1, 1)
    assert found.position(("links", 0, 1)) == Position(3, 9)
    assert found.position(("links", 1, "b")) == Position(5, 9)
    assert found.position(("links", 1, "b"), key=True) == Position(5, 6)


def test_a_path_that_is_not_all_there_leads_as_near_as_can_be() -> None:
    found = document("links:\n  - {a: c}\n")
    assert found.position(("links", 0, "SomeTag", "a")) == Position(2, 9)
    assert found.position(("links", 0, "missing")) == Position(2, 5)
    assert found.position(("links", 7)) == Position(2, 3)
    assert not found.has(("links", 7))
    assert found.has(("links", 0, "a"))
    with pytest.raises(KeyError):
        found.at("links", 7)
    assert found.at("links", 0).data == {"a": "c"}


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("yes", "yes"),
        ("on", "on"),
        ("12:34:56", "12:34:56"),
        ("2001:db8::1", "2001:db8::1"),
        ("2026-01-01", "2026-01-01"),
        ("010", 10),
        ("0x1f", 31),
        ("0o17", 15),
        ("1e3", 1000.0),
        (".5", 0.5),
        ("-7", -7),
        ("true", True),
        ("~", None),
        ("'5'", "5"),
        ('"true"', "true"),
        ("!!str 5", "5"),
        ("9" * 5000, "9" * 5000),
        (".inf", ".inf"),
        ("1e999", "1e999"),
    ],
)
def test_scalars_follow_the_core_schema_of_yaml_1_2(text: str, value: object) -> None:
    assert document(f"a: {text}").data == {"a": value}


def test_keys_are_always_text() -> None:
    assert document("1: a\nnull: b\ntrue: c").data == {"1": "a", "null": "b", "true": "c"}


def test_aliases_and_merges_are_followed() -> None:
    found = document("a: &x {p: 1, q: 2}\nb:\n  <<: *x\n  q: 3\nc: *x\nd: {<<: [*x, {r: 4}]}\n")
    assert found.data == {
        "a": {"p": 1, "q": 2},
        "b": {"q": 3, "p": 1},
        "c": {"p": 1, "q": 2},
        "d": {"p": 1, "q": 2, "r": 4},
    }


def test_every_duplicate_key_is_told() -> None:
    assert said("a: 1\nb: {c: 1, c: 2}\na: 2\n") == (
        "a.yml:2:11: key 'c' occurs twice, first in line 2\na.yml:3:1: key 'a' occurs twice, first in line 1"
    )


def test_nesting_has_a_limit() -> None:
    assert document("[" * MAX_DEPTH + "]" * MAX_DEPTH).data
    assert f"more than {MAX_DEPTH} levels" in said("[" * (MAX_DEPTH + 1) + "]" * (MAX_DEPTH + 1))
    assert f"more than {MAX_DEPTH} levels" in said("- " * 500_000)
    assert f"more than {MAX_DEPTH} levels" in said("{a: " * 1000)


@pytest.mark.parametrize("width", [2, 10, 100])
def test_aliases_of_aliases_are_refused_quickly(width: int) -> None:
    lines = ["a0: &a0 x"]
    lines += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * width)}]" for n in range(1, 39)]
    start = time.process_time()
    assert f"more than {MAX_VALUES} values" in said("\n".join(lines))
    assert time.process_time() - start < 2


def test_nesting_by_aliases_has_the_same_limit() -> None:
    lines = ["a0: &a0 x", *(f"a{n}: &a{n} [*a{n - 1}]" for n in range(1, 600))]
    assert f"more than {MAX_DEPTH} levels" in said("\n".join(lines))


def test_a_merge_bomb_is_refused_too() -> None:
    lines = ["a0: &a0 {" + ", ".join(f"k{n}: x" for n in range(1000)) + "}"]
    lines += [f"b{n}: {{<<: [{', '.join(['*a0'] * 50)}]}}" for n in range(50)]
    assert f"more than {MAX_VALUES} values" in said("\n".join(lines))


def test_anchors_may_be_used_again_but_not_inside_themselves() -> None:
    assert "has no anchor" in said("a: &a [*a]")
    assert document("a: &x 1\nb: &x 2\nc: *x").data["c"] == 2


json_values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(10**9), 10**9)
    | st.text(st.characters(codec="utf-8", exclude_categories=["C", "Zl", "Zp"])),
    lambda inner: (
        st.lists(inner, max_size=4) | st.dictionaries(st.text("abc<", min_size=1), inner, max_size=4)
    ),
    max_leaves=20,
)


class Writer(yaml.SafeDumper):
    """Writes YAML 1.1, but quotes what only 1.2 takes for a number: ``0E0``, ``08``, ``0o7``."""


def _text(writer: Writer, text: str) -> yaml.ScalarNode:
    style = '"' if re.fullmatch(r"[-+.]?[0-9][-+.0-9a-fA-FoOxX]*", text) else None
    return writer.represent_scalar("tag:yaml.org,2002:str", text, style=style)


Writer.add_representer(str, _text)


@example("0E0")
@example("08")
@example("0o7")
@given(json_values.filter(lambda value: "<<" not in json.dumps(value)))
def test_what_yaml_writes_is_read_back(value: object) -> None:
    written = yaml.dump({"v": value}, Dumper=Writer, allow_unicode=True)
    assert document(written).data == {"v": value}


@given(json_values.filter(lambda value: "<<" not in json.dumps(value)))
def test_json_is_read_as_it_is(value: object) -> None:
    assert document(json.dumps({"v": value}, ensure_ascii=False)).data == {"v": value}


@given(st.text(max_size=60) | st.text("[]{}:,-?&*!|>'\"%@ \n\t#a1", max_size=60))
def test_any_text_is_a_document_or_clear_problems(text: str) -> None:
    try:
        found = document(text)
    except InputError as error:
        problems = error.problems
    else:
        assert found.position(("a", 0, "b")).line >= 1
        return
    assert problems
    assert all(problem.file == "a.yml" and "\n" not in str(problem) for problem in problems)


def test_texts_are_mapped_in_keys_and_values_and_keep_their_places() -> None:
    found = document("a1: [x, 2]\nb1: {c1: y}\n").mapped(lambda text, _: text.upper())
    assert found.data == {"A1": ["X", 2], "B1": {"C1": "Y"}}
    assert found.position(("B1", "C1")) == Position(2, 10)


# ---- files ----


def refused(path: Path) -> str:
    with pytest.raises(InputError) as caught:
        read_document(path)
    return str(caught.value).replace(str(path.parent), "DIR")


def test_a_missing_file_is_told_with_its_nearest_neighbour(tmp_path: Path) -> None:
    (tmp_path / "ring.yml").write_text("a: 1")
    assert refused(tmp_path / "rnig.yml") == "DIR/rnig.yml: there is no such file (did you mean 'ring.yml'?)"
    assert "there is no directory" in refused(tmp_path / "no" / "rnig.yml")


def test_a_directory_is_refused(tmp_path: Path) -> None:
    (tmp_path / "d").mkdir()
    assert refused(tmp_path / "d") == "DIR/d: is a directory, expected a YAML file"


def test_a_device_and_a_pipe_nobody_writes_to_are_refused_and_do_not_hang(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    assert refused(tmp_path / "pipe") == "DIR/pipe: is not a regular file"
    assert "is not a regular file" in refused(Path("/dev/zero"))


def test_a_name_that_no_file_can_have_is_refused() -> None:
    assert "cannot be read" in refused(Path("a\0b"))
    assert "cannot be read: File name too long" in refused(Path("a" * 5000))


def test_a_file_below_a_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("a: 1")
    assert "cannot be read: Not a directory" in refused(tmp_path / "file" / "x.yml")


def test_a_file_has_a_limit_in_size(tmp_path: Path) -> None:
    path = tmp_path / "big.yml"
    path.write_bytes(b"a" * MAX_BYTES)
    assert read_document(path).data == "a" * MAX_BYTES
    path.write_bytes(b"a" * (MAX_BYTES + 1))
    assert refused(path) == "DIR/big.yml: is larger than 1024 KiB, expected a file written by hand"


def test_a_byte_order_mark_is_no_part_of_the_text(tmp_path: Path) -> None:
    path = tmp_path / "bom.yml"
    path.write_bytes(b"\xef\xbb\xbfname: lab\n")
    assert read_document(path).data == {"name": "lab"}


def test_utf_16_is_told_as_what_it_is_not(tmp_path: Path) -> None:
    path = tmp_path / "utf16.yml"
    path.write_bytes("näme".encode("utf-16"))
    assert "binary file" in refused(path)
    path.write_bytes(b"a: 1\nb: \xff\n")
    assert refused(path) == "DIR/utf16.yml:2:4: byte 0xff is not UTF-8, expected YAML text in UTF-8"


@given(st.binary(max_size=40))
def test_any_bytes_are_a_document_or_clear_problems(
    tmp_path_factory: pytest.TempPathFactory, raw: bytes
) -> None:
    path = tmp_path_factory.mktemp("bytes") / "a.yml"
    path.write_bytes(raw)
    try:
        read_document(path)
    except InputError as error:
        problems = error.problems
    else:
        return
    assert problems
    assert all(problem.file == str(path) for problem in problems)
