"""Render every golden folder anew: python tests/golden/regenerate.py, then read the diff."""

import shutil
import sys
import tempfile
from pathlib import Path

import yaml

from labctl.load import load_topology
from labctl.render import render

HERE = Path(__file__).parent
TOPOLOGIES = HERE.parent.parent / "topologies"


def main() -> int:
    """Write tests/golden/expected anew, all of it or nothing."""
    with tempfile.TemporaryDirectory(dir=HERE) as fresh:
        for name, sets in yaml.safe_load((HERE / "cases.yml").read_text()).items():
            render(load_topology(TOPOLOGIES / f"{name}.yml", sets), Path(fresh) / name)
        shutil.rmtree(HERE / "expected", ignore_errors=True)
        shutil.copytree(fresh, HERE / "expected")
    return 0


if __name__ == "__main__":
    sys.exit(main())
