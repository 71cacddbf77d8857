"""How findings are judged, and that every check can be understood."""

from __future__ import annotations

import json
import re
from dataclasses import replace

import pytest

from labctl.cli.app import load_command
from labctl.doctor import run
from labctl.doctor.model import ALL, CheckGroup, LackingError, MachineCheck, Purpose, Status
from labctl.doctor.run import checks, examine, healthy, packages_of

EMBEDDED = frozenset({Purpose.EMBEDDED})
CONTAINERLAB = frozenset({Purpose.CONTAINERLAB})


def there() -> str:
    return "1.0"


def absent() -> str:
    raise LackingError("no x")


def absent_with_fix() -> str:
    raise LackingError("too old", "get a newer one")


NEEDED = MachineCheck("n", CheckGroup.TOOLS, "r", absent, needed=EMBEDDED, packages=("x-new|x",), fix="f")
ENGINE = MachineCheck("e", CheckGroup.TOOLS, "r", absent, needed=CONTAINERLAB, packages=("docker.io",))
NICE = MachineCheck("u", CheckGroup.TOOLS, "r", absent, useful=ALL, fix="f")


def test_what_is_there_is_ok_and_says_what_it_is() -> None:
    (found,) = examine(EMBEDDED, [replace(NEEDED, probe=there)])
    assert (found.status, found.seen, found.fix, found.packages) == (Status.OK, "1.0", "", ())


def test_a_package_is_the_fix_where_one_helps_and_the_probe_knows_best() -> None:
    (found,) = examine(EMBEDDED, [NEEDED])
    assert (found.status, found.fix) == (Status.MISSING, "apt-get install x-new")
    assert found.packages == ("x-new|x",)
    (found,) = examine(EMBEDDED, [replace(NEEDED, probe=absent_with_fix)])
    assert (found.fix, found.packages) == ("get a newer one", ())


@pytest.mark.parametrize(
    ("purposes", "expected"),
    [
        (EMBEDDED, {"n": Status.MISSING, "u": Status.OPTIONAL}),
        (CONTAINERLAB, {"e": Status.MISSING, "u": Status.OPTIONAL}),
        # For everything: judged by the embedded runtime, which is what a user meets first.
        (ALL, {"n": Status.MISSING, "e": Status.OPTIONAL, "u": Status.OPTIONAL}),
    ],
)
def test_the_purpose_says_what_is_looked_at_and_what_is_needed(
    purposes: frozenset[Purpose], expected: dict[str, Status]
) -> None:
    findings = examine(purposes, [NEEDED, ENGINE, NICE])
    assert {finding.name: finding.status for finding in findings} == expected
    assert not healthy(findings)


@pytest.mark.parametrize("purpose", [Purpose.OVERLAY, Purpose.PARIS])
def test_who_wants_the_overlay_or_paris_here_wants_the_embedded_runtime_too(purpose: Purpose) -> None:
    (found,) = examine(frozenset({purpose}), [NEEDED, ENGINE])
    assert (found.name, found.status) == (NEEDED.name, Status.MISSING)


def test_a_machine_without_the_optional_is_healthy() -> None:
    assert healthy(examine(ALL, [ENGINE, NICE]))


def test_packages_are_told_apart_by_need_and_named_once() -> None:
    findings = examine(ALL, [NEEDED, NEEDED, ENGINE])
    assert packages_of(findings, Status.MISSING) == ("x-new|x",)
    assert packages_of(findings, Status.OPTIONAL) == ("docker.io",)


def test_every_check_has_a_reason_a_way_out_and_a_name_of_its_own() -> None:
    every = checks()
    assert len({check.name for check in every}) == len(every)
    for check in every:
        assert check.reason, check.name
        assert check.needed | check.useful, check.name
        assert not check.needed & check.useful, check.name
        # A probe may bring its own fix; all others must have one.
        assert check.packages or check.fix or check.name == "system", check.name


def test_package_names_are_names_of_debian_packages() -> None:
    for check in checks():
        for name in (one for package in check.packages for one in package.split("|")):
            assert re.fullmatch(r"[a-z0-9][a-z0-9+.-]+", name), name


@pytest.mark.parametrize(("lacking", "code"), [([], 0), ([NICE], 0), ([NEEDED], 2), ([ENGINE], 0)])
def test_the_exit_code_says_whether_the_embedded_runtime_can_run(
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    lacking: list[MachineCheck],
    code: int,
) -> None:
    monkeypatch.setattr(run, "checks", lambda: (replace(NEEDED, name="there", probe=there), *lacking))
    assert load_command("doctor").main(["--json"], standalone_mode=False) == code
    shown = json.loads(capsys.readouterr().out)
    assert [finding["name"] for finding in shown] == ["there", *(c.name for c in lacking)]


def test_text_names_reason_and_fix_of_what_is_missing(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(run, "checks", lambda: (NEEDED,))
    load_command("doctor").main([], standalone_mode=False)
    shown = capsys.readouterr().out
    assert "MISSING" in shown
    assert "for: r" in shown
    assert "fix: apt-get install x-new" in shown


def test_what_roles_require_is_looked_for_by_their_purpose() -> None:
    """Every program and package of a shipped role's ``requires:`` is in doctor; none is named in Python."""
    by_name = {check.name: check for check in checks()}
    assert by_name["java"].needed == {Purpose.OVERLAY, Purpose.TESTS}
    assert by_name["zookeeper.jar"].packages == ("zookeeper",)
    assert by_name["udhcpc"].needed == {Purpose.OVERLAY, Purpose.PARIS, Purpose.TESTS}
    assert by_name["corosync"].packages == ("corosync", "pacemaker", "pacemaker-cli-utils")
    assert by_name["oslo_rootwrap"].fix == "pip install 'labctl-testbed[paris]'"
    assert "flowcache.bpf.o" not in by_name, "it is built, not installed"
