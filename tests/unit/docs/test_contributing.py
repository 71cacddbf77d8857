"""The worked changes of CONTRIBUTING.md begin from the code as it is."""

from __future__ import annotations

import importlib.util
import re
import sys
import textwrap
from pathlib import Path
from typing import Any

import pytest
import yaml

from labctl.doctor.model import MachineCheck
from labctl.doctor.run import checks

ROOT = Path(__file__).parents[3]
PAGE = (ROOT / "CONTRIBUTING.md").read_text()


def code(name: str) -> str:
    """The block of Python that follows a file's name."""
    match = re.search(rf"`{re.escape(name)}`:\n\n   ```python\n(.*?)   ```", PAGE, flags=re.DOTALL)
    assert match, name
    return textwrap.dedent(match[1])


def run(name: str) -> dict[str, Any]:
    """What a block defines."""
    names: dict[str, Any] = {"__name__": "example"}
    exec(compile(code(name), name, "exec"), names)  # noqa: S102 - our own page
    return names


def test_the_check_works_and_has_a_place_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    check = run("labctl/doctor/checks/machine/run_space.py")["CHECK"]
    assert isinstance(check, MachineCheck)
    assert (check.group, check.order) not in {(other.group, other.order) for other in checks()}
    assert check.name not in {other.name for other in checks()}
    test = code("tests/unit/doctor/test_run_space.py")
    names: dict[str, Any] = {"__name__": "example", "CHECK": check}
    # The module of the check is not there: its name is bound in place of the import.
    line = "from labctl.doctor.checks.machine.run_space import CHECK\n"
    assert line in test
    exec(compile(test.replace(line, ""), "test", "exec"), names)  # noqa: S102 - our own page
    tests = [value for name, value in names.items() if name.startswith("test_")]
    assert len(tests) == 2
    for one in tests:
        one(monkeypatch)


def test_the_figure_and_the_row_of_the_first_change_are_there() -> None:
    test = (ROOT / "tests/unit/verdict/test_judge.py").read_text()
    row = "(100, 2)])\ndef test_without_evidence_the_span_before_the_cut_is_as_long_as_any_packet_took("
    assert row in test
    assert "(100, 2)" in PAGE
    attribution = (ROOT / "labctl/verdict/attribution.py").read_text()
    assert "LONGEST_DELAYS = 10\n" in attribution
    assert "ten times" in attribution


def test_the_role_of_the_second_change_is_not_shipped_yet_and_is_documented() -> None:
    assert not (ROOT / "templates/firewall").exists()
    assert "firewall" not in yaml.safe_load((ROOT / "tests/golden/cases.yml").read_text())
    for file in ("role.yml", "etc/firewall/rules.nft.j2", "etc/labctl/boot.j2"):
        assert f"`firewall/{file}`" in (ROOT / "docs/roles.md").read_text()


@pytest.mark.parametrize(
    ("kind", "test"),
    [
        ("labctl/scenario/kinds/actions/neigh_flush.py", "tests/unit/scenario/test_neigh_flush.py"),
        ("labctl/scenario/kinds/conditions/file.py", "tests/unit/scenario/test_file_condition.py"),
    ],
)
def test_the_kinds_of_the_worked_changes_pass_their_tests(
    tmp_path: Path, kind: str, test: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert not (ROOT / kind).exists()
    module = kind.removesuffix(".py").replace("/", ".")
    (tmp_path / "kind.py").write_text(code(kind))
    spec = importlib.util.spec_from_file_location(module, tmp_path / "kind.py")
    assert spec is not None
    assert spec.loader is not None
    loaded = importlib.util.module_from_spec(spec)
    monkeypatch.setitem(sys.modules, module, loaded)
    spec.loader.exec_module(loaded)
    names: dict[str, Any] = {"__name__": "example"}
    exec(compile(code(test), test, "exec"), names)  # noqa: S102 - our own page
    tests = [value for name, value in names.items() if name.startswith("test_")]
    assert len(tests) == 1
    tests[0]()
    assert max(len(line) for text in (code(kind), code(test)) for line in text.splitlines()) <= 110
