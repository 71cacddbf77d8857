"""The check of the Python version: too old is refused, newer than tried is told and goes on."""

from __future__ import annotations

import sys

import pytest

from labctl.doctor.checks.machine.python import CHECK
from labctl.linux.features import LackingError


@pytest.mark.parametrize("minor", [11, 14])
def test_versions_that_labctl_was_made_for(monkeypatch: pytest.MonkeyPatch, minor: int) -> None:
    monkeypatch.setattr(sys, "version_info", (3, minor, 0, "final", 0))
    assert "newer" not in str(CHECK.probe())


def test_a_newer_one_warns_and_is_not_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "version_info", (3, 15, 0, "final", 0))
    assert "newer than 3.14" in str(CHECK.probe())


def test_an_older_one_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "version_info", (3, 10, 9, "final", 0))
    with pytest.raises(LackingError, match=r"3\.11 is the oldest"):
        CHECK.probe()
