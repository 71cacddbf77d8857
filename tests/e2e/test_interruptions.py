"""`labctl up` interrupted at random moments: it ends with 0 or 130, in silence, and leaves nothing.

LABCTL_MOMENTS says how many moments there are for each signal (`make nightly`: 200). The figures are
written to results/ci/interruptions-SIGNAL.json.
"""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from machine import REPOSITORY, Machine, machine

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = [pytest.mark.netns, pytest.mark.slow]

PROGRAM = REPOSITORY / "tests" / "support" / "interruptions.py"
REPORTS = REPOSITORY / "results" / "ci"
MOMENTS = int(os.environ.get("LABCTL_MOMENTS", "4"))


@pytest.fixture(scope="module")
def host(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Machine]:
    with machine(tmp_path_factory.mktemp("interruptions")) as one:
        yield one


@pytest.mark.parametrize("name", ["SIGINT", "SIGTERM", "SIGHUP"])
@pytest.mark.parametrize("again", [(), ("--again", "0.2")], ids=["once", "twice"])
def test_up_interrupted_at_any_moment_leaves_nothing(
    host: Machine, name: str, again: tuple[str, ...]
) -> None:
    words = [sys.executable, str(PROGRAM), name, str(MOMENTS), *again]
    done = host.run(*words, timeout_s=60 + 20 * MOMENTS)
    assert done.returncode == 0, done.stderr
    REPORTS.mkdir(parents=True, exist_ok=True)
    report = Path(REPORTS, f"interruptions-{name}{'-twice' if again else ''}.json")
    report.write_text(done.stdout)
    told = json.loads(done.stdout)
    assert told["faulty"] == []
    assert set(told["codes"]["handled"]) <= {"0", "130"}
    assert sum(count for codes in told["codes"].values() for count in codes.values()) == MOMENTS
