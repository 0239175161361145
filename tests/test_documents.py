"""All Markdown files of the project: links and pictures exist, and the README stays short."""

import re
import subprocess
import unicodedata
from functools import cache
from pathlib import Path

import pytest

TOP = Path(__file__).parents[1]
FENCE = re.compile(r"^( *)(```+)(.*?)^\1\2`*\s*?$", re.MULTILINE | re.DOTALL)
LINK = re.compile(r"(?P<picture>!?)\[(?P<text>(?:[^\[\]]|!\[[^\]]*\]\([^)]*\))*)\]\((?P<target>[^)\s]+)\)")


def tracked() -> list[Path]:
    listed = subprocess.run(
        ["git", "ls-files", "-z", "*.md"], cwd=TOP, capture_output=True, check=False
    ).stdout
    return [TOP / name for name in listed.decode().split("\0") if name] or sorted(
        [*TOP.glob("*.md"), *TOP.glob("docs/**/*.md")]
    )


PAGES = tracked()
NAMES = [str(page.relative_to(TOP)) for page in PAGES]


@cache
def anchors(page: Path) -> frozenset[str]:
    """The anchors of a page's headings, as GitHub makes them."""
    found: list[str] = []
    for heading in re.findall(r"^#{1,6} +(.+?) *#*$", FENCE.sub("", page.read_text()), re.MULTILINE):
        words = re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", heading).lower()
        kept = "".join(c for c in words if unicodedata.category(c)[0] in "LNM" or c in " -_")
        anchor = kept.replace(" ", "-")
        found.append(f"{anchor}-{found.count(anchor)}" if anchor in found else anchor)
    return frozenset(found)


@pytest.mark.parametrize("page", PAGES, ids=NAMES)
def test_links_lead_somewhere_and_pictures_have_a_text(page: Path) -> None:
    wrong = []
    for match in LINK.finditer(re.sub(r"`[^`\n]*`", "", FENCE.sub("", page.read_text()))):
        target, _, anchor = match["target"].partition("#")
        if match["picture"] and len(match["text"]) < 10:
            wrong.append(f"{match[0]}: a picture needs an alternative text")
        if re.match(r"[a-z]+:", target):
            continue
        file = (page.parent / target).resolve() if target else page
        if not file.exists() or not file.is_relative_to(TOP):
            wrong.append(f"{match[0]}: no such file")
        elif anchor and file.suffix == ".md" and anchor not in anchors(file):
            wrong.append(f"{match[0]}: no such heading")
    assert not wrong, "\n".join(wrong)


@pytest.mark.parametrize("page", PAGES, ids=NAMES)
def test_fenced_blocks_name_their_language(page: Path) -> None:
    assert [
        match[2] for match in FENCE.finditer(page.read_text()) if not match[3].partition("\n")[0].strip()
    ] == []


def test_the_readme_is_read_in_five_minutes() -> None:
    assert len((TOP / "README.md").read_text().splitlines()) <= 160


def test_tests_that_reliability_names_exist() -> None:
    named = re.findall(r"`(tests/[\w/]+\.py)`", (TOP / "docs" / "reliability.md").read_text())
    assert len(named) > 20
    assert [name for name in named if not (TOP / name).is_file()] == []
