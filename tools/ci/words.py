"""Report words that the project no longer uses, and what it says in their place.

usage: words.py [FILE...]; every file under version control if none is named.

The list is words.tsv beside this file: a regular expression (no case, a blank stands for any white space),
what to say, where it applies, and where it does not. The last two hold patterns of paths from the root;
`texts` instead of a path means what a user of labctl reads from its Python: string literals, and the
docstrings of labctl/cli, which are the help texts. An exception that no file needs any more is reported
like a word. Journals of old runs and rendered files are not searched.
"""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

ROOT = Path(__file__).parents[2]
LIST = "tools/ci/words.tsv"
TEXTS = "texts"
COLUMNS = 4
_TESTED = "tests/unit/ci/test_words.py"
"""Neither this nor the list itself is searched: both have to name the words."""

_KEPT = (":!tests/data", ":!tests/golden/expected")


@dataclass(frozen=True, slots=True)
class Word:
    """One line of the list.

    Attributes:
        pattern: finds the word.
        instead: what to say.
        where: patterns of paths, or :data:`TEXTS`.
        but: patterns of paths in which the word stays.
        line: where it stands in the list.
    """

    pattern: re.Pattern[str]
    instead: str
    where: tuple[str, ...]
    but: tuple[str, ...]
    line: int


def words(text: str) -> list[Word]:
    """The list, read.

    Raises:
        ValueError: a line has not four columns, or no valid expression.
    """
    found = []
    for number, line in enumerate(text.splitlines(), start=1):
        if not line or line.startswith("#"):
            continue
        cells = line.split("\t")
        if len(cells) != COLUMNS:
            raise ValueError(f"{LIST}:{number}: expected {COLUMNS} columns, not {len(cells)}")
        try:
            pattern = re.compile(cells[0].replace(" ", r"\s+"), re.IGNORECASE)
        except re.error as error:
            raise ValueError(f"{LIST}:{number}: {error}") from error
        found.append(Word(pattern, cells[1], tuple(cells[2].split()), tuple(cells[3].split()), number))
    return found


def texts(source: str, *, docstrings: bool = False) -> list[tuple[int, str]]:
    """String literals of a Python file: line, text; ``{}`` is in the place of each value of an f-string.

    Args:
        source: the file.
        docstrings: these too.
    """
    silent: set[int] = set()
    found: list[tuple[int, str]] = []
    for node in ast.walk(ast.parse(source)):  # from the outside in: what silences a literal comes first
        match node:
            case ast.Expr(value=ast.Constant() as alone) if not docstrings:
                silent.add(id(alone))
            case ast.JoinedStr(values=parts):
                silent |= {id(part) for part in parts}
                whole = "".join(str(part.value) if isinstance(part, ast.Constant) else "{}" for part in parts)
                found.append((node.lineno, whole))
            case ast.Constant(value=str(text)) if id(node) not in silent:
                found.append((node.lineno, text))
    return sorted(found)


class Page:
    """A file as it is searched; what costs time is done once, for all words."""

    def __init__(self, path: str, content: str) -> None:
        self.path = path
        self._whole = [(1, content)]
        self._texts: list[tuple[int, str]] | None = None if fnmatchcase(path, "labctl/*.py") else []

    def finds(self, word: Word) -> Iterator[tuple[int, str]]:
        """Where a word stands, and how it is written there; whatever the exceptions are."""
        for line, text in self._parts(word):
            for found in word.pattern.finditer(text):
                yield line + text.count("\n", 0, found.start()), " ".join(found[0].split())

    def _parts(self, word: Word) -> list[tuple[int, str]]:
        if any(fnmatchcase(self.path, pattern) for pattern in word.where):
            return self._whole
        if TEXTS not in word.where:
            return []
        if self._texts is None:
            self._texts = texts(self._whole[0][1], docstrings=self.path.startswith("labctl/cli/"))
        return self._texts


def check(files: Sequence[str], listed: Sequence[Word], root: Path) -> list[str]:
    """Everything to complain of, one line each."""
    complaints: list[str] = []
    needed: set[tuple[int, str]] = set()
    for path in files:
        try:
            page = Page(path, (root / path).read_text())
        except (UnicodeDecodeError, FileNotFoundError, IsADirectoryError):
            continue  # no text, or deleted and not committed yet
        for word in listed:
            spared = [pattern for pattern in word.but if fnmatchcase(path, pattern)]
            found = list(page.finds(word))
            if found and spared:
                needed |= {(word.line, pattern) for pattern in spared}
            elif found:
                complaints += [f"{path}:{line}: {text}, say {word.instead}" for line, text in found]
    return complaints + [
        f"{LIST}:{word.line}: nothing in {pattern} needs this exception any more"
        for word in listed
        for pattern in word.but
        if (word.line, pattern) not in needed and any(fnmatchcase(path, pattern) for path in files)
    ]


def main(names: Sequence[str], root: Path = ROOT) -> int:
    """Print every complaint; exit code 1 if there is one, 2 if the list cannot be read."""
    try:
        listed = words((root / LIST).read_text())
    except ValueError as error:
        print(error, file=sys.stderr)
        return 2
    if not names:
        command = ["git", "ls-files", "--", ".", *_KEPT]
        done = subprocess.run(command, cwd=root, capture_output=True, text=True, check=True)
        names = done.stdout.splitlines()
    complaints = check([name for name in names if name not in (LIST, _TESTED)], listed, root)
    for line in complaints:
        print(line)
    return 1 if complaints else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
