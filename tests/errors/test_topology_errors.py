"""Bad topologies, each with the text that its user must read: every line, place and hint.

``LABCTL_WRITE_GOLDEN=1 pytest tests/errors`` writes the texts anew; read the difference before
it is committed.
"""

import os
from pathlib import Path

import pytest

from labctl.document.document import read_document
from labctl.errors import InputError
from labctl.load.topology import topology_from
from labctl.model.topology import Behaviour
from labctl.roles.model import Role

BAD = sorted((Path(__file__).parent / "topology").glob("*.yml"))
ROLES = {
    str(kind): Role(str(kind), kind, node_keys=("rack",) if kind is Behaviour.HOST else ())
    for kind in Behaviour
}


def said_about(path: Path) -> str:
    with pytest.raises(InputError) as caught:
        topology_from(read_document(path), roles=ROLES)
    assert caught.value.exit_code == 2
    return str(caught.value).replace(str(path), path.name) + "\n"


@pytest.mark.slow
@pytest.mark.parametrize("path", BAD, ids=lambda path: path.stem)
def test_every_problem_is_told_with_its_place(path: Path) -> None:
    said = said_about(path)
    expected = path.with_suffix(".txt")
    if os.environ.get("LABCTL_WRITE_GOLDEN"):
        expected.write_text(said)
    assert said == expected.read_text()


def test_there_are_bad_topologies_and_no_forgotten_texts() -> None:
    assert len(BAD) > 30
    assert {path.stem for path in BAD} == {path.stem for path in BAD[0].parent.glob("*.txt")}
