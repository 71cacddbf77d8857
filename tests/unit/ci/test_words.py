"""Words that are gone are reported where they come back, and nowhere else."""

from __future__ import annotations

import importlib.util
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from types import ModuleType

ROOT = Path(__file__).parents[3]
WORDS = """# a remark
\\bto repair\\b\tlost to convergence\t*.md texts\told.md
\\bcables?\\b\tlink\t*\t
"""


@pytest.fixture(scope="module")
def tool() -> ModuleType:
    """tools/ci/words.py, which is no package."""
    spec = importlib.util.spec_from_file_location("labctl_words", ROOT / "tools/ci/words.py")
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


class Tree:
    """A small clone with a list of its own."""

    def __init__(self, tool: ModuleType, root: Path) -> None:
        self.tool, self.root = tool, root
        self.write("tools/ci/words.tsv", WORDS)

    def write(self, name: str, text: str) -> None:
        path = self.root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)

    def lint(self, *names: str) -> list[str]:
        found: list[str] = self.tool.check(names, self.tool.words(WORDS), self.root)
        return found


@pytest.fixture
def tree(tool: ModuleType, tmp_path: Path) -> Tree:
    return Tree(tool, tmp_path)


def test_a_word_is_reported_with_its_line_and_with_what_to_say(tree: Tree) -> None:
    tree.write("docs/a.md", "fine\nOne Cable here\nand two cables\n")
    assert tree.lint("docs/a.md") == ["docs/a.md:2: Cable, say link", "docs/a.md:3: cables, say link"]


def test_a_word_that_is_wrapped_is_found_where_it_begins(tree: Tree) -> None:
    tree.write("a.md", "x\n5 packets lost to\nrepair\n")
    assert tree.lint("a.md") == ["a.md:2: to repair, say lost to convergence"]


def test_of_python_only_what_users_read_is_searched_for_a_word_of_texts(tree: Tree) -> None:
    source = (
        '"""Lost to repair."""\n# to repair\n\n\ndef f(n: int) -> str:\n    """To repair."""\n'
        '    return f"lost {n} to repair"\n'
    )
    tree.write("labctl/report/a.py", source)
    tree.write("labctl/cli/a.py", source)
    tree.write("bench/a.py", source)
    assert tree.lint("labctl/report/a.py") == ["labctl/report/a.py:7: to repair, say lost to convergence"]
    assert [line.split(":")[1] for line in tree.lint("labctl/cli/a.py")] == ["1", "6", "7"]
    assert tree.lint("bench/a.py") == []


def test_an_excepted_file_keeps_its_word_and_only_that_one(tree: Tree) -> None:
    tree.write("old.md", "3 to repair, by cable\n")
    assert tree.lint("old.md") == ["old.md:1: cable, say link"]


def test_an_exception_that_is_not_needed_any_more_is_reported(tree: Tree) -> None:
    tree.write("old.md", "3 to convergence\n")
    assert tree.lint("old.md") == ["tools/ci/words.tsv:2: nothing in old.md needs this exception any more"]


def test_the_exit_code_says_whether_a_word_was_found(tree: Tree, capsys: pytest.CaptureFixture[str]) -> None:
    tree.write("a.md", "a link\n")
    tree.write("b.md", "a cable\n")
    assert tree.tool.main(["a.md"], tree.root) == 0
    assert tree.tool.main(["a.md", "b.md"], tree.root) == 1
    assert capsys.readouterr().out == "b.md:1: cable, say link\n"


@pytest.mark.parametrize(
    ("line", "problem"), [("a\tb\tc", "expected 4 columns, not 3"), ("(\tb\t*\t", ":1: ")]
)
def test_a_list_that_cannot_be_read_is_an_error(tree: Tree, line: str, problem: str) -> None:
    with pytest.raises(ValueError, match=problem):
        tree.tool.words(line)
    tree.write("tools/ci/words.tsv", line)
    assert tree.tool.main(["a.md"], tree.root) == 2


def test_all_files_of_a_clone_are_searched_but_those_that_are_kept(tree: Tree) -> None:
    subprocess.run(["git", "init", "-q", tree.root], check=True)
    tree.write("tests/data/old.jsonl", "cable")
    tree.write("tests/golden/expected/a", "cable")
    subprocess.run(["git", "add", "."], cwd=tree.root, check=True)
    assert tree.tool.main([], tree.root) == 0
    tree.write("templates/boot.j2", "cable")
    subprocess.run(["git", "add", "."], cwd=tree.root, check=True)
    assert tree.tool.main([], tree.root) == 1


def test_the_list_of_this_project_can_be_read_and_names_files_that_are_there(tool: ModuleType) -> None:
    listed = tool.words((ROOT / "tools/ci/words.tsv").read_text())
    assert len(listed) > 20
    for word in listed:
        assert word.instead
        assert word.where
        for pattern in word.but:
            assert list(ROOT.glob(pattern)), pattern
