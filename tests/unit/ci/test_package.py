"""A wheel is whole, and a source distribution needs no compiler; both run from an empty folder."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[3]
OBJECT = "labctl/overlay/datapath/flowcache.bpf.o"
STAND_IN = b"compiled elsewhere"
PARTS = ("labctl", "templates", "topologies", "scenarios", "images")
FILES = (
    "pyproject.toml",
    "setup.py",
    "MANIFEST.in",
    "README.md",
    "LICENSE",
    "CHANGELOG.md",
    "CONTRIBUTING.md",
)
NOT_SHIPPED = ("__pycache__", ".*", "*.o")


def build(tree: Path, kind: str, path: str = os.environ["PATH"]) -> subprocess.CompletedProcess[str]:
    """Have the build backend make a wheel or an sdist of a source tree, in its folder ``dist``."""
    code = f"from setuptools import build_meta; build_meta.build_{kind}('dist')"
    command = [sys.executable, "-c", code]
    return subprocess.run(
        command, cwd=tree, env={**os.environ, "PATH": path}, capture_output=True, text=True, check=False
    )


def copy_of_the_tree(target: Path, *, compiled: bool) -> Path:
    target.mkdir()
    for part in PARTS:
        shutil.copytree(ROOT / part, target / part, ignore=shutil.ignore_patterns(*NOT_SHIPPED))
    for file in FILES:
        shutil.copy2(ROOT / file, target)
    if compiled:
        (target / OBJECT).write_bytes(STAND_IN)
    return target


@pytest.fixture(scope="module")
def tree(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return copy_of_the_tree(tmp_path_factory.mktemp("package") / "tree", compiled=True)


@pytest.fixture(scope="module")
def wheel(tree: Path) -> Path:
    """The wheel, built from the unpacked source distribution as an installer does."""
    made = build(tree, "sdist")
    assert made.returncode == 0, made.stderr
    (archive,) = tree.glob("dist/*.tar.gz")
    shutil.unpack_archive(archive, tree.parent / "sdist", filter="data")
    (unpacked,) = (tree.parent / "sdist").iterdir()
    made = build(unpacked, "wheel", path="/nonexistent")
    assert made.returncode == 0, made.stderr
    (found,) = unpacked.glob("dist/*.whl")
    return found


@pytest.fixture(scope="module")
def installed(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("installed")
    zipfile.ZipFile(wheel).extractall(folder)
    return folder


def labctl(installed: Path, empty: Path, *words: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-P", "-m", "labctl", *words]
    environment = {**os.environ, "PYTHONPATH": str(installed)}
    return subprocess.run(
        command, cwd=empty, env=environment, capture_output=True, text=True, check=False, timeout=60
    )


def test_a_wheel_from_a_source_distribution_has_all_that_is_shipped(wheel: Path) -> None:
    names = {name for name in zipfile.ZipFile(wheel).namelist() if ".dist-info/" not in name}
    tracked = subprocess.run(
        ["git", "-c", f"safe.directory={ROOT}", "ls-files", *PARTS],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    shipped = {
        name if name.startswith("labctl/") else f"labctl/{name}"
        for name in tracked.stdout.split("\n")
        if name
    }
    assert shipped
    assert shipped - names == set()
    assert OBJECT in names
    assert zipfile.ZipFile(wheel).read(OBJECT) == STAND_IN


def test_what_was_built_before_and_is_gone_does_not_come_with_the_wheel(tree: Path) -> None:
    left = tree / "build/lib/labctl/gone.py"
    left.parent.mkdir(parents=True, exist_ok=True)
    left.touch()
    shutil.rmtree(tree / "dist", ignore_errors=True)
    made = build(tree, "wheel")
    assert made.returncode == 0, made.stderr
    (found,) = tree.glob("dist/*.whl")
    assert "labctl/gone.py" not in zipfile.ZipFile(found).namelist()


@pytest.mark.parametrize("stale", [False, True])
def test_a_package_without_its_datapath_is_refused_with_the_fix(tmp_path: Path, *, stale: bool) -> None:
    tree = copy_of_the_tree(tmp_path / "tree", compiled=stale)
    if stale:
        os.utime(tree / OBJECT, (1, 1))
    made = build(tree, "wheel", path="/nonexistent")
    assert made.returncode != 0
    assert "clang and llvm-strip: not found" in made.stderr
    assert "apt-get install clang llvm libbpf-dev" in made.stderr
    assert list(tree.glob("dist/*")) == []


def test_from_a_wheel_shipped_files_are_found_by_name_in_an_empty_folder(
    installed: Path, tmp_path: Path
) -> None:
    done = labctl(installed, tmp_path, "validate", "gateway-power-cycle", "zero-loss-gateway", "ring")
    assert done.returncode == 0, done.stderr
    scenarios = installed / "labctl" / "scenarios"
    assert f"{scenarios}/zero-loss-gateway.yml: scenario zero-loss-gateway on lab" in done.stderr
    done = labctl(installed, tmp_path, "run", "zero-los-gateway")
    assert (done.returncode, done.stderr.count("\n")) == (2, 1)
    assert "did you mean 'zero-loss-gateway'?" in done.stderr
    assert list(tmp_path.iterdir()) == []


def test_from_a_wheel_init_makes_a_lab_that_is_valid(installed: Path, tmp_path: Path) -> None:
    assert labctl(installed, tmp_path, "init", "edge").returncode == 0
    done = labctl(installed, tmp_path / "edge", "validate", "topology.yml", "scenario.yml")
    assert done.returncode == 0, done.stderr


def test_from_a_wheel_the_roles_have_the_files_that_they_require(installed: Path, tmp_path: Path) -> None:
    code = f"from labctl.linux.installed import absent; print(absent('files', ({OBJECT!r},)))"
    environment = {**os.environ, "PYTHONPATH": str(installed)}
    command = [sys.executable, "-P", "-c", code]
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=True)
    assert done.stdout == "()\n"


def test_the_metadata_tell_licence_versions_and_what_it_is_for(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as packed:
        (name,) = (one for one in packed.namelist() if one.endswith(".dist-info/METADATA"))
        lines = packed.read(name).decode().splitlines()
    code = "import labctl; print(labctl.__version__)"
    version = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert f"Version: {version.strip()}" in lines
    assert "License-Expression: Apache-2.0" in lines
    assert (
        "Requires-Python: >=3.11" in lines
    )  # no upper bound: a newer one warns (labctl doctor), and never refuses
    assert any(line.startswith("Keywords: ") for line in lines)
    for minor in (11, 12, 13, 14):
        assert f"Classifier: Programming Language :: Python :: 3.{minor}" in lines
