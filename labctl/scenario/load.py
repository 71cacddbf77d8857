"""A scenario file -> :class:`~labctl.scenario.model.Scenario`, or every problem in it at once."""

from __future__ import annotations

import os
import re
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import yaml
from pydantic import BaseModel, ValidationError

from labctl.clab.parse import is_definition
from labctl.document.document import Document, read_document
from labctl.document.problems import problems_from
from labctl.document.tree import parse
from labctl.errors import InputError, Problem
from labctl.lab.loaded import LoadedLab, load_lab_file
from labctl.scenario.check import Wrong, check_against_lab, check_by_itself
from labctl.scenario.entry_steps import misplaced, steps_of
from labctl.scenario.former_keys import with_current_keys
from labctl.scenario.kinds.registry import CONDITIONS
from labctl.scenario.model import (
    DEFAULT_SETTLE_NS,
    Collection,
    Expectation,
    Scenario,
    TrafficSpec,
)
from labctl.scenario.schema import (
    CollectEntry,
    ConditionEntry,
    ExpectEntry,
    ScenarioFile,
    StepEntry,
    StepMoment,
    TrafficEntry,
)

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from labctl.document.kinds import FlatEntry
    from labctl.model.lab import Lab
    from labctl.scenario.kinds.condition import Condition

__all__ = ["load_scenario", "looks_like_scenario", "scenario_of_words", "text_of_words"]

_NO_TEMPLATES = "a containerlab file is not made from templates"

_Model = TypeVar("_Model", bound=BaseModel)


def load_scenario(
    path: Path,
    sets: Sequence[str] = (),
    name: str | None = None,
    *,
    templates: Sequence[Path] = (),
) -> tuple[Scenario, LoadedLab]:
    """Read a scenario and the topology that it names, and check the one against the other.

    Args:
        path: the scenario, as the user gave it.
        sets: ``key=value`` for the topology; they win over those of the scenario.
        name: of the lab, instead of the topology's own.
        templates: the user's template folders, over those that the topology names itself.

    Returns:
        The scenario, and the lab that its topology describes.

    Raises:
        InputError: every problem of both files.
    """
    document, warnings = with_current_keys(read_document(path))
    problems = _schema_problems(document)
    scenario = _build(document, path, sets, warnings)
    problems += _placed(document, misplaced(_sound(document.data, "timeline", StepEntry)))
    problems += _placed(document, check_by_itself(scenario))
    loaded = None
    if document.has(("topology",)) and isinstance(document.data["topology"], str):
        try:
            if is_definition(read_document(scenario.topology)):
                problems += _no_variables(document, scenario)
                problems += [Problem(f"--templates {one}", 0, 0, _NO_TEMPLATES) for one in templates]
                loaded = load_lab_file(scenario.topology, name=name, addresses=_addresses(scenario.traffic))
            else:
                loaded = load_lab_file(scenario.topology, name=name, sets=scenario.sets, templates=templates)
        except InputError as error:
            problems += _of_topology(error, document, scenario)
    if loaded is not None:
        problems += _placed(document, check_against_lab(scenario, loaded.lab))
    if problems or loaded is None:
        raise InputError(problems)
    return scenario, loaded


def scenario_of_words(words: Mapping[str, Any], lab: Lab, by: str) -> Scenario:
    """A scenario that a program says rather than a file, checked as one; its text is the YAML of it.

    Args:
        words: as in a scenario file, without ``topology``; without ``traffic`` the actions and conditions are
            checked and nothing else.
        lab: it is checked against.
        by: what the caller is called in problems.

    Raises:
        InputError: every problem, without a line: there is no file.
    """
    stand_in = {"name": "none", "from": "none", "to": "none"}
    alone = "traffic" not in words
    data = {"name": "api", "topology": by, **words, **({"traffic": [stand_in]} if alone else {})}
    text = text_of_words(data)
    document = Document(by, parse(text, by), text)
    problems = _schema_problems(document)
    scenario = _build(document, Path(by), (), ())
    problems += _placed(document, misplaced(_sound(document.data, "timeline", StepEntry)))
    if alone:
        scenario = replace(scenario, traffic=())
    else:
        problems += _placed(document, check_by_itself(scenario))
    problems += _placed(document, check_against_lab(scenario, lab))
    if problems:
        raise InputError(
            Problem(by, 0, 0, f"{_key_before(text, problem)}{problem.message}", problem.hint)
            for problem in problems
        )
    return scenario


def _key_before(text: str, problem: Problem) -> str:
    """The key of the value that a problem is with, in the place of a line that nobody wrote."""
    lines = text.splitlines()
    before = lines[problem.line - 1][: problem.column - 1] if 0 < problem.line <= len(lines) else ""
    found = re.search(r"([\w-]+): $", before)
    return f"{found[1]}: " if found else ""


def text_of_words(words: Mapping[str, Any]) -> str:
    """The YAML of a scenario that a program says."""
    return yaml.safe_dump(
        dict(words), sort_keys=False, allow_unicode=True, default_flow_style=None, width=1 << 20
    )


def looks_like_scenario(document: Document) -> bool:
    """Whether a YAML file is meant as a scenario rather than a topology."""
    data = document.data
    return (
        isinstance(data, dict)
        and ("traffic" in data or "timeline" in data or "topology" in data)
        and ("nodes" not in data)
    )


def _placed(document: Document, wrongs: Iterable[Wrong]) -> list[Problem]:
    """Problems at their places in the file, where entries stand that were too wrong to be built."""
    sound = {
        section: [index for index, _ in _sound(document.data, section, model)]
        for section, model in (("traffic", TrafficEntry), ("steady", ConditionEntry), ("expect", ExpectEntry))
    }
    problems = []
    for (section, index, *rest), message, hint in wrongs:
        # Steps know their own place.
        if section in sound and isinstance(index, int):
            index = sound[str(section)][index]  # noqa: PLW2901 - the place in the file from here on
        problems.append(document.problem((section, index, *rest), message, hint))
    return problems


def _no_variables(document: Document, scenario: Scenario) -> list[Problem]:
    message = "a containerlab file has no variables to set"
    return [document.problem(("set",), message, key=True)] if scenario.sets else []


def _addresses(traffic: Iterable[TrafficSpec]) -> Iterator[tuple[str, str]]:
    """Which address the streams give which node."""
    for spec in traffic:
        if spec.source_address:
            yield spec.source, spec.source_address
        if spec.destination_address:
            yield spec.destination, spec.destination_address


def _of_topology(error: InputError, document: Document, scenario: Scenario) -> list[Problem]:
    """Problems of the topology that are the scenario's: the file that it names, what it sets there."""
    if not os.path.exists(scenario.topology):  # noqa: PTH110 - says no to a name that is too long
        return [
            document.problem(("topology",), f"there is no topology {problem.file}", problem.hint)
            for problem in error.problems
        ]
    own = document.data.get("set")
    problems = []
    for problem in error.problems:
        name = problem.file.removeprefix("--set ").partition("=")[0]
        if problem.file.startswith("--set ") and isinstance(own, dict) and name in own:
            problems.append(document.problem(("set", name), problem.message, problem.hint))
        else:
            problems.append(problem)
    return problems


def _schema_problems(document: Document) -> list[Problem]:
    if not isinstance(document.data, dict):
        return [document.problem((), "a mapping with name, topology, traffic was expected")]
    try:
        ScenarioFile.model_validate(document.data)
    except ValidationError as error:
        return problems_from(error, document, ScenarioFile)
    return []


# From here on only what is sound is built: the rest has been complained of already.


def _build(document: Document, path: Path, sets: Sequence[str], warnings: tuple[Problem, ...]) -> Scenario:
    data = document.data if isinstance(document.data, dict) else {}
    topology = data.get("topology")
    own = data.get("set") if isinstance(data.get("set"), dict) else {}
    settle = _entry(
        ScenarioFile,
        {
            "name": "x",
            "topology": "x",
            "traffic": [{"name": "x", "from": "x", "to": "x"}],
            "settle": data.get("settle"),
        },
    )
    scenario = Scenario(
        name=str(data.get("name", path.stem)),
        path=path,
        text=document.text,
        topology=path.parent / topology if isinstance(topology, str) else path,
        traffic=tuple(
            spec
            for place, (_, entry) in enumerate(_sound(data, "traffic", TrafficEntry))
            for spec in _traffic(place, entry)
        ),
        steady=tuple(_condition(entry) for _, entry in _sound(data, "steady", ConditionEntry)),
        timeline=steps_of([(index, one, _after(one)) for index, one in _sound(data, "timeline", StepEntry)]),
        expect=tuple(
            _expectation(entry, _line_text(document, index))
            for index, entry in _sound(data, "expect", ExpectEntry)
        ),
        sets=(*(f"{key}={_scalar(value)}" for key, value in (own or {}).items()), *sets),
        settle_ns=DEFAULT_SETTLE_NS if settle is None or settle.settle is None else settle.settle,
        collect=tuple(Collection(one.node, one.file) for _, one in _sound(data, "collect", CollectEntry)),
        warnings=warnings,
    )
    return _with_streams(scenario)


def _with_streams(scenario: Scenario) -> Scenario:
    """With the names of streams in conditions, where a user named traffic of several."""
    of_name: dict[str, list[str]] = {}
    for spec in scenario.traffic:
        for name in filter(None, (spec.name, spec.pair)):
            of_name.setdefault(name, []).extend(spec.stream_names)
    return replace(
        scenario,
        steady=tuple(condition.with_streams(of_name) for condition in scenario.steady),
        timeline=tuple(
            step if step.after is None else replace(step, after=step.after.with_streams(of_name))
            for step in scenario.timeline
        ),
    )


def _sound(data: object, section: str, model: type[_Model]) -> list[tuple[int, _Model]]:
    entries = data.get(section) if isinstance(data, dict) else None
    if not isinstance(entries, list):
        return []
    return [(index, entry) for index, raw in enumerate(entries) if (entry := _entry(model, raw)) is not None]


def _entry(model: type[_Model], raw: object) -> _Model | None:
    try:
        return model.model_validate(raw)
    except ValidationError:
        return None


def _scalar(value: object) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def _traffic(place: int, entry: TrafficEntry) -> Iterator[TrafficSpec]:
    """What one entry asks for: one, or one in each direction."""
    there = TrafficSpec(
        name=f"{entry.name}-there" if entry.both else entry.name,
        source=entry.from_,
        destination=entry.to,
        proto=entry.proto,
        rate_pps=entry.rate,
        flows=entry.flows,
        size=entry.size,
        families=(4, 6) if entry.family == "both" else (entry.family,),
        addresses=entry.addresses or "",
        source_address=str(entry.from_address or ""),
        destination_address=str(entry.to_address or ""),
        pair=entry.name if entry.both else "",
        entry=place,
    )
    yield there
    if entry.both:
        yield replace(
            there,
            name=f"{entry.name}-back",
            source=there.destination,
            destination=there.source,
            source_address=there.destination_address,
            destination_address=there.source_address,
        )


def _condition(entry: FlatEntry) -> Condition:
    return CONDITIONS[entry.kind].read(entry.params)


def _after(entry: FlatEntry) -> Condition | None:
    after = entry.after if isinstance(entry, StepMoment) else None
    return None if after is None else _condition(after)


def _expectation(entry: FlatEntry, text: str) -> Expectation:
    # A kind's entry has the fields of an expectation that it uses; None is one that was left out.
    values = {key: one for key, one in entry.params.model_dump().items() if one is not None}
    return Expectation(kind=entry.kind, text=text, **values)


def _line_text(document: Document, index: int) -> str:
    """The expectation in one line, as its keys and values were written."""
    entry = document.at("expect", index).data
    words = (
        f"{key}: {', '.join(map(str, value)) if isinstance(value, list) else value}"
        for key, value in entry.items()
    )
    return ", ".join(words)
