"""Puts into the package what is not Python: the compiled datapath and the shipped folders."""

import shutil
import subprocess
from pathlib import Path

from setuptools import setup
from setuptools.command.build_py import build_py
from setuptools.command.sdist import sdist
from setuptools.errors import ExecError

SHIPPED = ("templates", "topologies", "scenarios", "images")
HERE = Path(__file__).parent
DATAPATH = HERE / "labctl" / "overlay" / "datapath"
DATAPATH_OBJECT = DATAPATH / "flowcache.bpf.o"


def make_datapath() -> None:
    """Compile the datapath if it is absent or older than its source, as ``make datapath`` does.

    Raises:
        ExecError: it cannot be compiled; a package without it could not run the overlay's scenarios.
    """
    sources = [DATAPATH / "build", *DATAPATH.glob("*.c"), *DATAPATH.glob("*.h")]
    newest = max(source.stat().st_mtime for source in sources)
    if DATAPATH_OBJECT.exists() and DATAPATH_OBJECT.stat().st_mtime >= newest:
        return
    lacking = [program for program in ("clang", "llvm-strip") if shutil.which(program) is None]
    if lacking:
        raise ExecError(
            f"{' and '.join(lacking)}: not found, needed to compile labctl's datapath from a source tree: "
            "apt-get install clang llvm libbpf-dev, or install the wheel, which has it compiled"
        )
    try:
        subprocess.run([DATAPATH / "build", DATAPATH_OBJECT], check=True)
    except subprocess.CalledProcessError as error:
        raise ExecError(f"labctl's datapath does not compile: {error}") from error


class SdistWithDatapath(sdist):
    """A source distribution that needs no clang: the compiled datapath is in it."""

    def run(self) -> None:
        """Compile the datapath, then collect the files."""
        make_datapath()
        super().run()


class BuildWithShipped(build_py):
    """Copies templates, topologies, scenarios and images into ``labctl/`` of what is built."""

    def run(self) -> None:
        """Build the package, then add the folders; a tree installed as editable has them already."""
        if self.editable_mode:
            super().run()
            return
        make_datapath()
        # What an earlier build left there, and the tree no longer has, is not to be packed.
        shutil.rmtree(Path(self.build_lib, "labctl"), ignore_errors=True)
        super().run()
        for kind in SHIPPED:
            target = Path(self.build_lib, "labctl", kind)
            shutil.rmtree(target, ignore_errors=True)
            shutil.copytree(HERE / kind, target, ignore=shutil.ignore_patterns("__pycache__", ".*"))


setup(cmdclass={"build_py": BuildWithShipped, "sdist": SdistWithDatapath})
