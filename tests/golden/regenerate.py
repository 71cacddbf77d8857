"""Render every golden folder anew: python tests/golden/regenerate.py, then read the diff."""

import shutil
import sys
from pathlib import Path

import yaml

from labctl.load import load_topology
from labctl.render import render

HERE = Path(__file__).parent
TOPOLOGIES = HERE.parent.parent / "topologies"


def main() -> int:
    """Write tests/golden/expected, and nothing that was there before stays."""
    shutil.rmtree(HERE / "expected", ignore_errors=True)
    for name, sets in yaml.safe_load((HERE / "cases.yml").read_text()).items():
        definition = render(load_topology(TOPOLOGIES / f"{name}.yml", sets), HERE / "expected" / name)
        sys.stdout.write(f"{definition}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
