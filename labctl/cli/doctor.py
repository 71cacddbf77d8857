"""labctl doctor: what this machine can do, what it lacks, and how it is mended."""

from dataclasses import asdict
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated

import typer

from labctl.cli.console import out, out_json, say, wants_colour
from labctl.cli.params import Json

if TYPE_CHECKING:
    from collections.abc import Sequence

    from labctl.doctor.model import Finding, Purpose
    from labctl.events import Event

__all__ = ["command"]

LACKING = 2


class For(StrEnum):
    """What the machine is wanted for."""

    EMBEDDED = "embedded"
    CONTAINERLAB = "containerlab"
    TESTS = "tests"
    OVERLAY = "overlay"
    PARIS = "paris"
    ALL = "all"


def command(
    purpose: Annotated[
        For | None,
        typer.Option(
            "--for",
            metavar="embedded|containerlab|overlay|paris|tests|all",
            help="Purpose of the machine: a runtime, the overlay, Paris, labctl's own tests, or all.",
        ),
    ] = None,
    install: Annotated[
        bool, typer.Option("--install", help="Install the missing packages; starts no service.")
    ] = False,
    quiet: Annotated[
        bool,
        typer.Option("--quiet", "-q", help="Print only what is missing and what --install does about it."),
    ] = False,
    json: Json = False,
) -> int:
    """Check what this machine supports and what it lacks.

    labctl tests every kernel feature in a temporary namespace. Exit code 0: nothing is missing for the
    purpose (for all: for the embedded runtime), 2: something is.
    """
    from labctl.doctor.run import examine, healthy

    # Unasked, the container engine is not put onto a machine that does not have one.
    purposes = _purposes(purpose or (For.EMBEDDED if install else For.ALL))
    findings = examine(purposes)
    if install and _install(findings):
        findings = examine(purposes)
    if json:
        out_json([asdict(finding) for finding in findings])
    else:
        _show(findings, quiet=quiet)
    return 0 if healthy(findings) else LACKING


def _install(findings: "Sequence[Finding]") -> bool:
    """Install what is needed, then what is useful; whether there was anything to install."""
    from labctl.doctor.install import install
    from labctl.doctor.model import Status
    from labctl.doctor.run import packages_of
    from labctl.errors import HostError

    def tell(event: "Event") -> None:
        say(str(event.data["line"]))

    needed = packages_of(findings, Status.MISSING)
    install(needed, tell)
    useful = packages_of(findings, Status.OPTIONAL)
    try:
        install(useful, tell)
    except HostError as error:
        # Not every kernel has its package of further modules: a lab runs without.
        say(f"{error}")
    return bool(needed or useful)


def _purposes(purpose: For) -> "frozenset[Purpose]":
    from labctl.doctor.model import ALL, Purpose

    if purpose is For.ALL:
        return ALL
    return frozenset({Purpose(purpose.value)})


def _show(findings: "Sequence[Finding]", *, quiet: bool) -> None:
    from labctl.doctor.model import Status

    marks = {
        Status.OK: ("ok", "32"),
        Status.MISSING: ("MISSING", "1;31"),
        Status.OPTIONAL: ("optional", "33"),
    }
    colour = wants_colour()
    width = max((len(finding.name) for finding in findings), default=0)
    group = ""
    for finding in findings:
        if quiet and finding.status is not Status.MISSING:
            continue
        if finding.group != group:
            group = finding.group
            out(f"{group}:")
        word, code = marks[finding.status]
        mark = f"\x1b[{code}m{word:8}\x1b[0m" if colour else f"{word:8}"
        out(f"  {mark}  {finding.name:{width}}  {finding.seen}")
        if finding.status is not Status.OK:
            out(f"  {'':8}  {'':{width}}  for: {finding.reason}")
            out(f"  {'':8}  {'':{width}}  fix: {finding.fix}")
    lacking = [finding.name for finding in findings if finding.status is Status.MISSING]
    if lacking:
        say(f"missing: {', '.join(lacking)}")
    elif not quiet:
        say("nothing that is needed is missing")
