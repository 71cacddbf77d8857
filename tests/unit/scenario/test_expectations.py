"""What can be expected in a scenario follows from the files of the expectations."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import pytest
import yaml
from pydantic import Field

from labctl.document.entries import Entry, Names
from labctl.document.kinds import flat_model
from labctl.errors import InputError
from labctl.journal.records import EXPECTATION_KINDS
from labctl.scenario.load import load_scenario
from labctl.scenario.schema import json_schema
from labctl.verdict.expectations import EXPECTATIONS
from labctl.verdict.expectations.base import ExpectationKind

if TYPE_CHECKING:
    from labctl.scenario.model import Expectation

ROOT = Path(__file__).parents[3]
TOPOLOGY = "name: t\nnodes: {a: {role: host}, b: {role: host}}\nlinks: [[a, b]]\n"
SCENARIO = "name: s\ntopology: t.yml\ntraffic: [{name: there, from: a, to: b}]\nexpect:\n  - "


def load(folder: Path, entry: str) -> Expectation:
    (folder / "t.yml").write_text(TOPOLOGY)
    (folder / "s.yml").write_text(f"{SCENARIO}{entry}\n")
    return load_scenario(folder / "s.yml")[0].expect[0]


@pytest.mark.parametrize("kind", EXPECTATIONS.values(), ids=lambda kind: kind.name)
def test_every_kind_is_read_as_its_example_says_and_stands_in_the_docs(
    tmp_path: Path, kind: ExpectationKind
) -> None:
    assert load(tmp_path, kind.example).kind == kind.name
    assert f"| `{kind.example}` | {kind.doc} |\n" in (ROOT / "docs/scenario.md").read_text()
    keys = json_schema()["$defs"]["ExpectEntry"]["properties"]
    assert set(yaml.safe_load(kind.example)) <= set(keys)


def test_the_journal_holds_every_kind() -> None:
    assert set(EXPECTATIONS) == set(EXPECTATION_KINDS)


@pytest.mark.parametrize(
    ("entry", "fields"),
    [
        ("{loss: there, at-least: 5}", {"streams": ("there",), "at_least": 5}),
        ("{duplicated: all, packets: 2}", {"packets": 2}),
        ("{reordered: all, packets: 3}", {"packets": 3}),
        ("{delay: all, longest: 5ms, quantile: 0.5}", {"longest_ns": 5_000_000, "quantile": 0.5}),
        ("{outage: all, longest: 0}", {"longest_ns": 0, "quantile": 1.0}),
        ("{loss: all, packets: 0, off-path: true}", {"off_path": True}),
    ],
)
def test_options_become_the_fields_that_the_journal_has(
    tmp_path: Path, entry: str, fields: dict[str, Any]
) -> None:
    found = load(tmp_path, entry)
    assert {key: getattr(found, key) for key in fields} == fields


@pytest.mark.parametrize(
    ("entry", "told"),
    [
        ("{loss: all}", "s.yml:5:5: loss needs packets or at-least"),
        ("{loss: all, packets: 1, at-least: 1}", "one of packets and at-least"),
        ("{loss: all, at-least: 0}", "s.yml:5:27: expected at least 1, not 0"),
        ("{loss: all, at-least: 1, bound: 0.1}", "does not go with at-least"),
        ("{duplicated: all}", "duplicated needs packets"),
        ("{duplicated: all, packets: 0, bound: 0.1}", "bound does not belong to duplicated"),
        ("{delay: all, packets: 0, longest: 1s}", "packets does not belong to delay"),
        ("{outage: all}", "outage needs longest"),
        ("{delay: all, outage: all, longest: 1s}", "exactly one of"),
        ("{reorderd: all, packets: 0}", "unknown key 'reorderd' (did you mean 'reordered'?)"),
        ("{delay: their, longest: 1s}", "unknown stream 'their'"),
    ],
)
def test_what_cannot_be_expected_is_told(tmp_path: Path, entry: str, told: str) -> None:
    with pytest.raises(InputError) as caught:
        load(tmp_path, entry)
    assert told in str(caught.value)


class _First(Entry):
    streams: Annotated[Names, Field(alias="loss")]
    packets: int


class _Second(Entry):
    streams: Annotated[Names, Field(alias="other")]
    packets: str


def test_one_key_has_one_type_in_all_kinds() -> None:
    judge = EXPECTATIONS["loss"].judge
    kinds = {
        "loss": ExpectationKind("loss", "", "", _First, judge),
        "other": ExpectationKind("other", "", "", _Second, judge),
    }
    with pytest.raises(TypeError, match="other gives 'packets' another type than loss"):
        flat_model("Any", "", kinds)
