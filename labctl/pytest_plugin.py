"""The pytest plugin: labs by a marker, scenarios as tests, failures with the nodes' logs.

It uses the public API alone, and imports nothing of labctl until a test asks for a lab.
"""

from __future__ import annotations

import contextlib
import os
import re
import tempfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterator

    import labctl

__all__ = ["LabMarker", "ScenarioCollector", "ScenarioFailure", "ScenarioItem"]

_LOG_LINES = 40
_SUFFIX = ".labctl.yml"
_SCENARIO = re.compile(r"^topology\s*:", re.MULTILINE)
_TRAFFIC = re.compile(r"^traffic\s*:", re.MULTILINE)
_NEEDS_ROOT = "labctl makes network namespaces, which takes root: run pytest with sudo"
_KEY = "labctl"


def pytest_addoption(parser: pytest.Parser) -> None:
    """Options and ini keys."""
    group = parser.getgroup("labctl", "labs of real routers")
    group.addoption("--labctl-runtime", choices=("auto", "netns", "containerlab"), help="what runs the labs")
    group.addoption("--labctl-keep", action="store_true", help="leave labs running at the end, healed")
    group.addoption("--labctl-out", metavar="DIR", type=Path, help="write results of scenarios here")
    group.addoption("--labctl-baseline", metavar="DIR", type=Path, help="baselines, one folder a name")
    group.addoption("--labctl-record", action="store_true", help="record baselines instead of comparing")
    group.addoption(
        "--labctl-inconclusive",
        choices=("fail", "skip", "xfail"),
        default="fail",
        help="what a test becomes that raises Inconclusive, or a scenario that is INCONCLUSIVE",
    )
    group.addoption("--labctl-lab", metavar="NAME", help="use this lab, which runs already")
    parser.addini("labctl_runtime", "what runs the labs: auto, netns, containerlab", default="auto")
    parser.addini("labctl_timeout", "for all nodes of a lab to become ready", default="120s")


def pytest_configure(config: pytest.Config) -> None:
    """The marker, and what is remembered over a session."""
    config.addinivalue_line(
        "markers",
        "labctl(topology, scope='module', sets={}, runtime=None, name=None): the lab of the fixture `lab`",
    )
    config.stash[_STATE] = _State(config)


@dataclass(frozen=True, slots=True)
class LabMarker:
    """What a marker asks for.

    Attributes:
        topology: file, relative to the test's; or the name of a shipped one.
        scope: ``session``, ``module`` or ``function``: how long the lab is kept.
        name: of the lab; the topology's own if not given.
    """

    topology: str
    scope: str = "module"
    sets: tuple[tuple[str, Any], ...] = ()
    runtime: str | None = None
    name: str | None = None


@dataclass
class _State:
    """Labs of one session, the latest last."""

    config: pytest.Config
    labs: dict[tuple[object, ...], labctl.Lab] = field(default_factory=dict)

    @property
    def runtime(self) -> str:
        return str(self.config.getoption("--labctl-runtime") or self.config.getini("labctl_runtime"))

    def up(self, key: tuple[object, ...], topology: str | Path, **options: Any) -> labctl.Lab:  # noqa: ANN401 - as labctl.up
        """Bring a lab up, or give the one that was brought up for the same key."""
        if key in self.labs:
            return self.labs[key]
        _need_root()
        import labctl  # noqa: PLC0415 - when a test asks for a lab

        given = self.config.getoption("--labctl-lab")
        if given:
            lab = labctl.open(str(given))
        else:
            options = {"runtime": self.runtime, "timeout": self.config.getini("labctl_timeout"), **options}
            name = options.pop("name", None)
            lab = labctl.up(
                topology,
                name=self.distinct(topology, name),
                keep=bool(self.config.getoption("--labctl-keep")),
                **options,
            )
        lab.__enter__()
        self.labs[key] = lab
        return lab

    def distinct(self, topology: str | Path, name: str | None) -> str | None:
        """A name that no other worker of pytest-xdist uses; None for the topology's own."""
        worker = os.environ.get("PYTEST_XDIST_WORKER", "")
        if not worker:
            return name
        stem = name or re.sub(r"[^a-z0-9]+", "-", Path(topology).name.split(".")[0].lower()).strip("-")
        return f"{stem}-{worker}"

    def down(self, key: tuple[object, ...]) -> None:
        """The end of one lab."""
        lab = self.labs.pop(key, None)
        if lab is not None:
            lab.__exit__(None, None, None)

    def down_all(self) -> None:
        """The end of every lab, the latest first; goes on when one cannot be taken down."""
        with contextlib.ExitStack() as stack:
            for key in self.labs.copy():
                stack.callback(self.down, key)


_STATE: pytest.StashKey[_State] = pytest.StashKey()
_REPORTS: pytest.StashKey[dict[str, pytest.TestReport]] = pytest.StashKey()
_USED: pytest.StashKey[list[Any]] = pytest.StashKey()


def _need_root() -> None:
    if os.geteuid() != 0:
        pytest.skip(_NEEDS_ROOT)


# Fixtures


@pytest.fixture(scope="session")
def labctl_up(request: pytest.FixtureRequest) -> Iterator[Callable[..., labctl.Lab]]:
    """A function that brings a lab up, as ``labctl.up``; all are taken down at the end, the latest first."""
    state = request.config.stash[_STATE]
    keys: list[tuple[object, ...]] = []

    def up(topology: str | Path, **options: Any) -> labctl.Lab:  # noqa: ANN401 - as labctl.up
        keys.append(("factory", len(keys)))
        return state.up(keys[-1], topology, **options)

    yield up
    with contextlib.ExitStack() as stack:
        for key in keys:
            stack.callback(state.down, key)


@pytest.fixture
def lab(request: pytest.FixtureRequest) -> Iterator[labctl.Lab]:
    """The lab of the marker ``labctl``. Faults that a test made are taken back at its end, whatever came."""
    marker = _marker(request.node)
    state = request.config.stash[_STATE]
    kept = {"session": "session", "module": str(request.path), "function": request.node.nodeid}
    key = (kept[marker.scope], *_topology(request, marker), marker.sets, marker.runtime, marker.name)
    yield from _lent(request, state, key, marker)
    if marker.scope == "function":
        state.down(key)


@pytest.fixture
def fresh_lab(request: pytest.FixtureRequest) -> Iterator[labctl.Lab]:
    """The lab of the marker, brought up for this test alone and taken down after it."""
    state = request.config.stash[_STATE]
    key = ("fresh", request.node.nodeid)
    try:
        yield from _lent(request, state, key, _marker(request.node))
    finally:
        state.down(key)


@pytest.fixture
def labctl_run(request: pytest.FixtureRequest) -> Callable[..., labctl.Result]:
    """A function that runs a scenario, as ``labctl.run``; a path is relative to the test's file."""
    state = request.config.stash[_STATE]

    def run(scenario: str | Path, **options: Any) -> labctl.Result:  # noqa: ANN401 - as labctl.run
        return _run(state, request.node, _beside(request.path, scenario), **options)

    return run


@pytest.fixture
def labctl_baseline(request: pytest.FixtureRequest) -> Callable[[str], labctl.Result]:
    """A function that reads a baseline by its name, from ``--labctl-baseline``."""
    folder: Path | None = request.config.getoption("--labctl-baseline")
    record = request.config.getoption("--labctl-record")

    def baseline(name: str) -> labctl.Result:
        import labctl  # noqa: PLC0415 - when a test asks for one

        if folder is None:
            pytest.skip("no baselines were given: pytest --labctl-baseline=DIR")
        if record:
            return _record(request, folder / name)
        return labctl.load_result(folder / name)

    return baseline


def _record(request: pytest.FixtureRequest, folder: Path) -> labctl.Result:
    """The last result of the test becomes the baseline, and the test ends there."""
    from labctl.report.baseline import write_baseline  # noqa: PLC0415 - when a test asks for one

    used = [one for one in request.node.stash.get(_USED, []) if hasattr(one, "write")]
    if not used:
        pytest.fail(f"nothing to record as {folder.name}: the test ran no scenario before", pytrace=False)
    used[-1].write(folder)
    write_baseline(used[-1].data, folder)
    pytest.skip(f"recorded the baseline {folder}")


def _lent(
    request: pytest.FixtureRequest, state: _State, key: tuple[object, ...], marker: LabMarker
) -> Iterator[labctl.Lab]:
    (topology,) = _topology(request, marker)
    options = {"sets": dict(marker.sets), "name": marker.name}
    if marker.runtime is not None:
        options["runtime"] = marker.runtime
    lent = state.up(key, topology, **options)
    lent.measured.clear()
    request.node.stash.setdefault(_USED, []).append(lent)
    try:
        yield lent
    finally:
        lent.heal()


def _marker(item: pytest.Item) -> LabMarker:
    found = item.get_closest_marker(_KEY)
    if found is None:
        raise pytest.UsageError(f"{item.nodeid}: the fixture lab needs @pytest.mark.labctl(topology=...)")
    words = dict(found.kwargs)
    if found.args:
        words["topology"] = found.args[0]
    words["sets"] = tuple(sorted(words.get("sets", {}).items()))
    try:
        marker = LabMarker(**words)
    except TypeError as error:
        raise pytest.UsageError(f"{item.nodeid}: pytest.mark.labctl: {error}") from None
    if marker.scope not in ("session", "module", "function"):
        known = "session, module or function"
        raise pytest.UsageError(f"{item.nodeid}: pytest.mark.labctl: scope {marker.scope!r} is not {known}")
    return marker


def _topology(request: pytest.FixtureRequest, marker: LabMarker) -> tuple[str]:
    return (str(_beside(request.path, marker.topology)),)


def _beside(test: Path, named: str | Path) -> str | Path:
    """A file beside the test; else as it was given: from the working folder, or a shipped one."""
    beside = test.parent / named
    return beside if beside.exists() else named


def _run(
    state: _State,
    item: pytest.Item,
    scenario: str | Path,
    **options: Any,  # noqa: ANN401 - as labctl.run
) -> labctl.Result:
    _need_root()
    import labctl  # noqa: PLC0415 - when a test asks for a run

    out: Path | None = state.config.getoption("--labctl-out")
    if out is None:
        # Kept where a failure can point to it.
        folder = Path(tempfile.mkdtemp(prefix="labctl-pytest-"))
    else:
        folder = out / re.sub(r"[^A-Za-z0-9._-]+", "_", item.nodeid)
    options = {"runtime": state.runtime, "timeout": state.config.getini("labctl_timeout"), **options}
    options.setdefault("out", folder)
    result = labctl.run(scenario, **options)
    item.stash.setdefault(_USED, []).append(result)
    item.user_properties.append(("labctl_report", str(Path(options["out"]) / "report.html")))
    return result


# Modules end, sessions end


@pytest.hookimpl(wrapper=True)
def pytest_runtest_teardown(item: pytest.Item, nextitem: pytest.Item | None) -> Generator[None, None, None]:
    """A module's labs go with its last test."""
    yield
    state = item.config.stash[_STATE]
    if nextitem is None or nextitem.path != item.path:
        for key in [key for key in state.labs if key[0] == str(item.path)][::-1]:
            state.down(key)


def pytest_sessionfinish(session: pytest.Session) -> None:
    """Every lab that is still there goes."""
    session.config.stash[_STATE].down_all()


# Failures


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Inconclusive as asked; node logs and the verdict beside a failure."""
    report = yield
    if call.excinfo is not None and type(call.excinfo.value).__name__ == "Inconclusive":
        _inconclusive(item, report, str(call.excinfo.value))
    if report.failed and call.when == "call":
        for used in item.stash.get(_USED, []):
            _attach(report, used)
    return report


def _inconclusive(item: pytest.Item, report: pytest.TestReport, why: str) -> None:
    wanted = item.config.getoption("--labctl-inconclusive")
    if wanted == "skip":
        report.outcome = "skipped"
        path, line, _ = item.location
        report.longrepr = (str(path), line or 0, f"Skipped: inconclusive: {why}")
    elif wanted == "xfail":
        report.outcome = "skipped"
        report.wasxfail = f"inconclusive: {why}"


def _attach(report: pytest.TestReport, used: Any) -> None:  # noqa: ANN401 - a lab or a result
    if hasattr(used, "logs"):
        for node, text in used.logs().items():
            tail = "\n".join(text.strip().splitlines()[-_LOG_LINES:])
            if tail:
                report.sections.append((f"labctl logs {node}", tail))
        for traffic in used.measured:
            report.sections.append((f"labctl traffic {traffic.name}", traffic.explain()))
    elif used.folder is not None:
        report.sections.append(("labctl journal", str(used.folder / "journal.jsonl")))


# Scenario files as tests


def pytest_collect_file(file_path: Path, parent: pytest.Collector) -> ScenarioCollector | None:
    """Scenarios: files *.labctl.yml, and other YAML files that were named or lie in ``scenarios``."""
    if file_path.suffix not in (".yml", ".yaml"):
        return None
    named = file_path.name.endswith(_SUFFIX) or file_path.parent.name == "scenarios"
    if not named and not parent.session.isinitpath(file_path):
        return None
    text = file_path.read_text(encoding="utf-8", errors="replace")
    if not (_SCENARIO.search(text) and _TRAFFIC.search(text)):
        return None
    return ScenarioCollector.from_parent(parent, path=file_path)


class ScenarioCollector(pytest.File):
    """A scenario: one test."""

    def collect(self) -> Iterator[pytest.Item]:
        """The test."""
        yield ScenarioItem.from_parent(self, name=self.path.name.removesuffix(_SUFFIX).removesuffix(".yml"))


class ScenarioFailure(Exception):  # noqa: N818 - carries what pytest shows
    """A scenario that did not pass; its text is what ``labctl run`` prints."""


class ScenarioItem(pytest.Item):
    """Runs a scenario; it passes if the verdict is PASS."""

    def runtest(self) -> None:
        """Run it.

        Raises:
            ScenarioFailure: it did not pass.
        """
        state = self.config.stash[_STATE]
        result = _run(state, self, self.path)
        if result.verdict == "INCONCLUSIVE":
            import labctl  # noqa: PLC0415 - when it was run

            raise labctl.Inconclusive(result.explain())
        if result.verdict != "PASS":
            raise ScenarioFailure(result.explain())

    def repr_failure(self, excinfo: pytest.ExceptionInfo[BaseException], style: Any = None) -> str:  # noqa: ANN401
        """What ``labctl run`` prints, without a traceback; of a bug of labctl with it."""
        from labctl.errors import LabctlError  # noqa: PLC0415 - when something failed

        if isinstance(excinfo.value, ScenarioFailure | LabctlError):
            return str(excinfo.value)
        return str(super().repr_failure(excinfo, style))

    def reportinfo(self) -> tuple[Path, int | None, str]:
        """Where it is written."""
        return self.path, None, f"scenario {self.name}"
