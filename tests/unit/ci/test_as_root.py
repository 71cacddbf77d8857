"""tools/ci/as-root becomes root where it must, and leaves nothing of root's in the clone of somebody else."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]
SUDO = """#!/bin/sh
echo "sudo $*" >>"$LOG"
shift 2 # -E env
while case $1 in *=*) true ;; *) false ;; esac; do shift; done
exec "$@"
"""
FIND = '#!/bin/sh\necho "find $*" >>"$LOG"\n'


def stub(folder: Path, name: str, text: str) -> None:
    folder.mkdir(exist_ok=True)
    (folder / name).write_text(text)
    (folder / name).chmod(0o755)


@pytest.fixture
def clone(tmp_path: Path) -> Path:
    ci = tmp_path / "clone" / "tools" / "ci"
    ci.mkdir(parents=True)
    for name in ("as-root", "common.sh"):
        shutil.copy2(ROOT / "tools/ci" / name, ci)
    stub(tmp_path / "bin", "find", FIND)
    stub(tmp_path / "bin", "sudo", SUDO)
    return tmp_path / "clone"


def as_root(clone: Path, *words: str, uid: int, owner: str) -> tuple[int, str]:
    """Run it as that user, in a clone of that owner; the exit code, and the calls of sudo and find."""
    tools, log = clone.parent / "bin", clone.parent / "log"
    stub(tools, "id", f"#!/bin/sh\necho {uid}\n")
    stub(tools, "stat", f"#!/bin/sh\necho {owner}\n")
    environment = {**os.environ, "PATH": f"{tools}:{os.environ['PATH']}", "LOG": str(log)}
    done = subprocess.run([clone / "tools/ci/as-root", *words], env=environment, check=False)
    return done.returncode, log.read_text() if log.exists() else ""


def given_back(clone: Path, log: str) -> bool:
    return f"find {clone} -xdev -uid 0 -exec chown -h 1000:1000 {{}} +" in log


def test_in_a_clone_of_roots_nothing_is_given_away(clone: Path) -> None:
    assert as_root(clone, "sh", "-c", "exit 3", uid=0, owner="0:0") == (3, "")


@pytest.mark.parametrize("uid", [0, 1000])
@pytest.mark.parametrize("code", [0, 1, 130])
def test_what_root_wrote_is_given_to_the_owner_and_the_exit_code_kept(
    clone: Path, uid: int, code: int
) -> None:
    got, log = as_root(clone, "sh", "-c", f"exit {code}", uid=uid, owner="1000:1000")
    assert got == code
    assert given_back(clone, log)
    assert log.count("sudo ") == (0 if uid == 0 else 2)
