"""The plugin in a pytest of its own, with labs that are fakes."""

from __future__ import annotations

import os
import re
from typing import TYPE_CHECKING

import fakehost  # noqa: F401 - before pytester notes which modules there are: numpy cannot be loaded twice
import pytest

import labctl
import labctl.report.html
import labctl.report.terminal

if TYPE_CHECKING:
    from pathlib import Path

FAKES = """
import os
import pathlib
import pytest
import labctl
from fakehost import NODES, fake_running
from labctl.api.result import JudgedResult
from labctl.scenario.load import scenario_of_words
from labctl.testing.backend import FakeBackend
from labctl.testing.series import fake_lab, play

TOLD = []
VERDICT = {"PASS": [], "FAIL": [3], "INCONCLUSIVE": None}


def up(topology, **options):
    lab, host = fake_running(FakeBackend(NODES), keep=options.get("keep", False))
    host.take_down = lambda: print("DOWN", topology) or TOLD.append("down")
    print("UP", topology, options.get("name"), options.get("runtime"), options.get("sets"))
    TOLD.append("up")
    return lab


def run(scenario, **options):
    text = pathlib.Path(scenario).read_text()
    backend = FakeBackend(NODES)
    if "breaks" in text:
        backend.lost = lambda _stream, flow, moment: flow == 0
    expect = [] if "expects-nothing" in text else [{"loss": "all", "packets": 0}]
    stream = {"name": "there", "from": "h1", "to": "h2", "flows": 4}
    words = {"name": "cut", "traffic": [stream], "expect": expect}
    words["timeline"] = [{"at": "1s", "power-off": "gw1"}]
    result = JudgedResult(play(scenario_of_words(words, fake_lab(NODES), "x"), backend, options["out"]))
    result.write(options["out"])
    return result


labctl.up, labctl.run = up, run
os.geteuid = lambda: 0
"""

TEST = """
import labctl
import pytest

pytestmark = pytest.mark.labctl("two.yml", sets={"size": 3})
"""


@pytest.fixture
def inner(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> pytest.Pytester:
    # Names of labs follow from it, and these tests may be a worker's themselves.
    monkeypatch.delenv("PYTEST_XDIST_WORKER", raising=False)
    # What the inner conftest puts fakes in the place of comes back at the end.
    monkeypatch.setattr(os, "geteuid", os.geteuid)
    monkeypatch.setattr(labctl, "up", labctl.up)
    monkeypatch.setattr(labctl, "run", labctl.run)
    pytester.makeconftest(FAKES)
    pytester.makepyprojecttoml("[tool.pytest.ini_options]\naddopts = '--strict-markers'\n")
    return pytester


def run(inner: pytest.Pytester, *words: str) -> pytest.RunResult:
    # By its module, whether or not this checkout was installed with its entry points.
    return inner.runpytest_inprocess(
        "-p", "no:labctl", "-p", "labctl.pytest_plugin", "-p", "no:cacheprovider", *words
    )


def test_one_lab_serves_the_tests_of_a_module_and_each_takes_its_faults_back(inner: pytest.Pytester) -> None:
    inner.makepyfile(
        TEST
        + """
def test_one(lab):
    lab.power_off("gw1")
    assert len(lab.faults) == 1

def test_two(lab):
    assert lab.faults == ()
    assert lab.backend.done[-1][0] == "power-on gw1"
"""
    )
    done = run(inner, "-s")
    done.assert_outcomes(passed=2)
    text = done.stdout.str()
    assert (text.count("UP two.yml"), text.count("DOWN two.yml")) == (1, 1)
    assert "UP two.yml None auto {'size': 3}" in text


def test_a_fresh_lab_is_for_one_test(inner: pytest.Pytester) -> None:
    inner.makepyfile(TEST + "\ndef test_one(fresh_lab): pass\ndef test_two(fresh_lab): pass\n")
    done = run(inner, "-s", "--labctl-runtime", "netns")
    done.assert_outcomes(passed=2)
    assert re.findall("UP|DOWN", done.stdout.str()) == ["UP", "DOWN", "UP", "DOWN"]


def test_a_factory_brings_labs_up_and_takes_them_down_the_latest_first(inner: pytest.Pytester) -> None:
    inner.makepyfile("def test_one(labctl_up): labctl_up('a.yml'); labctl_up('b.yml')")
    done = run(inner, "-s")
    done.assert_outcomes(passed=1)
    text = done.stdout.str()
    assert (
        text.index("UP a.yml") < text.index("UP b.yml") < text.index("DOWN b.yml") < text.index("DOWN a.yml")
    )


def test_each_worker_of_xdist_has_labs_of_its_own_name(
    inner: pytest.Pytester, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PYTEST_XDIST_WORKER", "gw3")
    inner.makepyfile(TEST + "\ndef test_one(lab): pass\n")
    assert "UP two.yml two-gw3" in run(inner, "-s").stdout.str()


@pytest.mark.slow
def test_a_failure_has_the_nodes_logs_and_the_verdict_beside_it(inner: pytest.Pytester) -> None:
    inner.makepyfile(
        TEST
        + """
def test_one(lab):
    lab.backend.lost = lambda _stream, flow, moment: flow == 0
    with lab.traffic("h1", "h2", flows=4) as traffic:
        traffic.expect("loss", packets=0)
        with lab.power_off("gw1"):
            lab.sleep("1s")
    assert traffic.result().verdict is labctl.Verdict.PASS
"""
    )
    done = run(inner)
    done.assert_outcomes(failed=1)
    done.stdout.fnmatch_lines(
        ["*labctl logs gw1*", "gw1 says nothing of note", "*labctl traffic h1-h2*", "*power-off gw1*"]
    )


@pytest.mark.parametrize(
    ("wanted", "outcome"), [("fail", {"failed": 1}), ("skip", {"skipped": 1}), ("xfail", {"xfailed": 1})]
)
def test_inconclusive_is_never_a_pass(inner: pytest.Pytester, wanted: str, outcome: dict[str, int]) -> None:
    inner.makepyfile(
        TEST
        + """
def test_one(lab):
    lab.backend.crossing = {"gw1": {}}
    with lab.traffic("h1", "h2") as traffic, lab.power_off("gw1"):
        lab.sleep("1s")
    traffic.require_measured()
"""
    )
    run(inner, "--labctl-inconclusive", wanted).assert_outcomes(**outcome)


@pytest.mark.slow
def test_scenario_files_are_tests(inner: pytest.Pytester) -> None:
    scenario = "name: x\ntopology: t.yml\ntraffic: []\n"
    folder = inner.mkdir("scenarios")
    (folder / "good.yml").write_text(scenario)
    (folder / "bad.yml").write_text(f"{scenario}# breaks\n")
    (folder / "unsure.yml").write_text(f"{scenario}# expects-nothing\n")
    (folder / "topology.yml").write_text("nodes: {}\n")
    (inner.path / "other.yml").write_text(scenario)
    (inner.path / "own.labctl.yml").write_text(scenario)
    done = run(inner, "-v", "--labctl-out", "results")
    done.assert_outcomes(passed=2, failed=2)
    done.stdout.fnmatch_lines(["*FAIL*", "*loss: all*"])
    assert "Traceback" not in done.stdout.str()
    assert list((inner.path / "results").glob("*good*/report.html"))
    run(inner, "other.yml").assert_outcomes(passed=1)


def test_who_is_not_root_skips_with_the_reason(inner: pytest.Pytester) -> None:
    inner.makeconftest(FAKES + "\nos.geteuid = lambda: 1000\n")
    inner.makepyfile(TEST + "\ndef test_one(lab): pass\n")
    done = run(inner, "-rs")
    done.assert_outcomes(skipped=1)
    done.stdout.fnmatch_lines(["*takes root*"])


@pytest.mark.slow
def test_a_baseline_is_recorded_and_held_against(inner: pytest.Pytester, tmp_path: Path) -> None:
    (inner.path / "x.yml").write_text("name: x\n")
    inner.makepyfile(
        """
def test_one(labctl_run, labctl_baseline):
    result = labctl_run("x.yml")
    diff = result.compare(labctl_baseline("x"))
    assert not diff.worse, diff.table()
"""
    )
    run(inner).assert_outcomes(skipped=1)
    done = run(inner, "--labctl-baseline", str(tmp_path / "base"), "--labctl-record", "-rs")
    done.assert_outcomes(skipped=1)
    assert (tmp_path / "base/x/baseline.json").exists()


def test_a_wrong_marker_says_what_was_expected(inner: pytest.Pytester) -> None:
    inner.makepyfile(
        "import pytest\n@pytest.mark.labctl('a.yml', scope='modul')\ndef test_one(lab): pass\n"
        "def test_two(lab): pass\n"
    )
    done = run(inner)
    done.assert_outcomes(errors=2)
    done.stdout.fnmatch_lines(["*'modul' is not session, module or function*", "*needs @pytest.mark.labctl*"])
