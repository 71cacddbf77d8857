"""Puts the shipped folders into the package: a wheel has no top level beside it."""

import shutil
from pathlib import Path

from setuptools import setup
from setuptools.command.build_py import build_py

SHIPPED = ("templates", "topologies", "scenarios", "images")
HERE = Path(__file__).parent


class BuildWithShipped(build_py):
    """Copies templates, topologies, scenarios and images into ``labctl/`` of what is built."""

    def run(self) -> None:
        """Build the package, then add the folders; a tree installed as editable has them already."""
        super().run()
        if self.editable_mode:
            return
        for kind in SHIPPED:
            target = Path(self.build_lib, "labctl", kind)
            shutil.rmtree(target, ignore_errors=True)
            shutil.copytree(HERE / kind, target, ignore=shutil.ignore_patterns("__pycache__", ".*"))


setup(cmdclass={"build_py": BuildWithShipped})
