"""Every relative link in a page leads to a file, and to a heading where it names one."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path
from urllib.parse import unquote

import pytest

ROOT = Path(__file__).parents[3]
ELSEWHERE = re.compile(r"[a-z][a-z0-9+.-]*:")
"""A scheme: https:, mailto:."""


def without_code(text: str) -> str:
    """A page without what is shown as it is typed: blocks between fences, and words between backticks."""
    text = re.sub(r"^( *)(```+|~~~+).*?^\1\2 *$", "", text, flags=re.MULTILINE | re.DOTALL)
    return re.sub(r"`[^`\n]*`", "", text)


def links(text: str) -> list[str]:
    """Targets of links and images, by brackets or by reference."""
    text = without_code(text)
    inline = re.findall(r"\]\(\s*<?([^)\s>]+)", text)
    return inline + re.findall(r"^ {0,3}\[[^\]]+\]:\s*<?([^\s>]+)", text, flags=re.MULTILINE)


def anchors(text: str) -> set[str]:
    """What the headings of a page are called in links, as GitHub makes it of them."""
    text = re.sub(r"^( *)(```+|~~~+).*?^\1\2 *$", "", text, flags=re.MULTILINE | re.DOTALL)
    found: set[str] = set()
    for title in re.findall(r"^#{1,6} +(.+?) *#*$", text, flags=re.MULTILINE):
        name = re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-")
        number = 0
        while (unique := f"{name}-{number}" if number else name) in found:
            number += 1
        found.add(unique)
    return found


def broken(page: Path, root: Path) -> list[str]:
    """Links of a page that lead nowhere, or out of the repository."""
    wrong = []
    for link in links(page.read_text()):
        if ELSEWHERE.match(link):
            continue
        name, _, anchor = unquote(link).partition("#")
        target = (page.parent / name).resolve() if name else page
        if not target.is_relative_to(root) or not target.exists():
            wrong.append(f"{link}: no such file")
        elif anchor and anchor not in anchors(target.read_text()):
            wrong.append(f"{link}: no such heading")
    return wrong


def pages() -> list[str]:
    """Every page that is in the repository or about to be."""
    command = ["git", "ls-files", "--cached", "--others", "--exclude-standard", "*.md"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    found = done.stdout.split() or [path.relative_to(ROOT).as_posix() for path in ROOT.glob("docs/**/*.md")]
    return sorted({name for name in found if (ROOT / name).is_file()})


@pytest.mark.parametrize("name", pages())
def test_every_relative_link_leads_somewhere(name: str) -> None:
    assert not broken(ROOT / name, ROOT)


def test_pages_are_found() -> None:
    assert {"README.md", "docs/architecture.md"} <= set(pages())


@pytest.mark.parametrize(
    ("text", "count"),
    [
        ("[a](other.md) [b](other.md#two-words) [c](#here) [d](https://example.org/x.md)\n# Here", 0),
        ("![a](other.md 'title')", 0),
        ("`[a](none.md)`\n\n```\n[b](none.md)\n```\n", 0),
        ("[a](none.md)", 1),
        ("[a](../../outside.md)", 1),
        ("[a](other.md#three)", 1),
        ("[a][b]\n\n[b]: none.md", 1),
        ("[c](#there)\n# Here", 1),
    ],
)
def test_links_that_lead_nowhere_are_found(tmp_path: Path, text: str, count: int) -> None:
    (tmp_path / "other.md").write_text("## Two words!\n")
    page = tmp_path / "page.md"
    page.write_text(text)
    assert len(broken(page, tmp_path)) == count


@pytest.mark.parametrize("page", sorted(path.name for path in (ROOT / "docs/decisions").glob("*.md")))
def test_every_decision_is_in_the_index_and_says_what_why_and_what_it_costs(page: str) -> None:
    if page == "README.md":
        return
    text = (ROOT / "docs/decisions" / page).read_text()
    assert f"({page})" in (ROOT / "docs/decisions/README.md").read_text()
    headings = re.findall(r"^## (.+)$", text, flags=re.MULTILINE)
    assert headings[:3] == ["What", "Why", "What it costs"]
