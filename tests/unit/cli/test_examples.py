"""labctl examples and labctl version: what they print."""

from __future__ import annotations

import json
import sys

import pytest

import labctl
from labctl.cli.errors import run
from labctl.cli.examples import summary
from labctl.shipped import examples, folder


def test_every_shipped_file_is_listed_with_what_it_is(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["examples", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    for kind, noun in (("scenarios", "scenario"), ("topologies", "topology")):
        listed = {one["name"]: one for one in found if one["kind"] == noun}
        assert listed.keys() == examples(kind).keys()
        assert all(one["summary"] for one in listed.values())
        assert {name: one["path"] for name, one in listed.items()} == {
            name: str(path) for name, path in examples(kind).items()
        }


def test_one_is_printed_as_it_stands(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["examples", "link-cut"]) == 0
    assert capsys.readouterr().out == (folder("scenarios") / "link-cut.yml").read_text()


def test_an_unknown_one_is_answered_with_the_nearest(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["examples", "link-cu"]) == 2
    assert "did you mean 'link-cut'?" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("text", "first"),
    [
        ("# One thing. Another.\nname: a\n", "One thing"),
        ("# A lab (2 or more):\n#   labctl up\nname: a\n", "A lab (2 or more)"),
        ("# Version 1.2 of\n# a thing.\n\n# Not this\n", "Version 1.2 of a thing"),
        ("name: a\n# late\n", ""),
    ],
)
def test_the_summary_is_the_first_sentence_of_the_comment_on_top(text: str, first: str) -> None:
    assert summary(text) == first


def test_version_names_what_runs(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["version", "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["labctl"] == labctl.__version__
    assert told["interpreter"] == sys.executable
    assert run(["version"]) == 0
    assert f"labctl       {labctl.__version__}\n" in capsys.readouterr().out
