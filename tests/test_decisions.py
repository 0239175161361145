"""docs/decisions.md and docs/notes/experiments.md: index, form of the entries, and links to them."""

import re
import subprocess
from datetime import date
from pathlib import Path
from typing import NamedTuple

import pytest

ROOT = Path(__file__).parents[1]
DECISIONS, EXPERIMENTS = ROOT / "docs" / "decisions.md", ROOT / "docs" / "notes" / "experiments.md"
PARTS = {
    DECISIONS: ["Context", "Decision", "Consequences"],
    EXPERIMENTS: ["Context", "Tried", "Result"],
}
ROOMS = [
    "Model", "Runtime", "Training", "Wire and shared memory", "Video", "Flow and account", "Scene", "Events",
    "View and web", "Workers", "Fleet", "Base and configuration", "Packaging and tests",
]  # fmt: skip
DATE = re.compile(r"\*(\d{4}-\d\d-\d\d)(?:, revised (\d{4}-\d\d-\d\d))?\*")
BOTH = pytest.mark.parametrize("file", PARTS, ids=["decisions", "experiments"])


class Entry(NamedTuple):
    room: str
    heading: str
    text: str


def without_code(file: Path) -> str:
    return re.sub(r"^```.*?^```$", "", file.read_text("utf-8"), flags=re.MULTILINE | re.DOTALL)


def anchor_of(heading: str) -> str:
    """As GitHub makes it; the docs site joins several hyphens to one, so no heading may lead to two."""
    return re.sub(r"[^\w\s-]", "", heading.lower()).replace(" ", "-")


def anchors(file: Path) -> list[str]:
    return [anchor_of(heading) for heading in re.findall(r"^#+ (.+)$", without_code(file), re.MULTILINE)]


def entries(file: Path) -> list[Entry]:
    _, *sections = re.split(r"^## (.+)$", without_code(file), flags=re.MULTILINE)
    found = []
    for room, section in zip(sections[::2], sections[1::2], strict=True):
        _, *parts = re.split(r"^### (.+)$", section, flags=re.MULTILINE)
        found += [Entry(room, heading, text) for heading, text in zip(parts[::2], parts[1::2], strict=True)]
    return found


@BOTH
def test_index_lists_every_entry_once_in_order(file: Path) -> None:
    index = re.split(r"^## (?:.+)$", without_code(file), flags=re.MULTILINE)[1]
    listed = [line for line in index.splitlines() if line]
    expected: list[str] = []
    for entry in entries(file):
        room = f"**[{entry.room}](#{anchor_of(entry.room)})**"
        if room not in expected:
            expected.append(room)
        expected.append(f"- [{entry.heading}](#{anchor_of(entry.heading)})")
    assert listed == expected


@BOTH
def test_every_entry_has_a_room_a_date_and_its_three_parts(file: Path) -> None:
    for entry in entries(file):
        assert entry.room in ROOMS or file == EXPERIMENTS, entry.heading
        first = entry.text.strip().splitlines()[0]
        dated = DATE.fullmatch(first)
        assert dated, f"{entry.heading}: {first}"
        days = [date.fromisoformat(day) for day in dated.groups() if day]
        assert days == sorted(days), entry.heading
        assert re.findall(r"^- \*\*(.+?)\.\*\* ", entry.text, re.MULTILINE) == PARTS[file], entry.heading


@BOTH
def test_entries_of_a_room_are_in_order_of_date(file: Path) -> None:
    for room in {entry.room for entry in entries(file)}:
        dates = [entry.text.strip()[1:11] for entry in entries(file) if entry.room == room]
        assert dates == sorted(dates), room


def test_rooms_are_in_their_usual_order() -> None:
    assert list(dict.fromkeys(entry.room for entry in entries(DECISIONS))) == ROOMS


@BOTH
def test_headings_lead_to_the_same_anchor_on_github_and_on_the_site(file: Path) -> None:
    found = anchors(file)
    assert len(set(found)) == len(found)
    for anchor in found:
        assert anchor.isascii(), anchor
        assert "--" not in anchor, anchor


@BOTH
def test_links_to_an_entry_lead_to_one(file: Path) -> None:
    known = anchors(file)
    listed = subprocess.run(
        ["git", "ls-files", "*.md", "*.py", "*.toml"], cwd=ROOT, capture_output=True, text=True, check=True
    )
    for name in listed.stdout.splitlines():
        text = (ROOT / name).read_text("utf-8")
        for anchor in re.findall(rf"{file.name}#([\w-]+)", text):
            assert anchor in known, f"{name}: {file.name}#{anchor}"
    for anchor in re.findall(r"\]\(#([\w-]+)\)", file.read_text("utf-8")):
        assert anchor in known, anchor


@BOTH
def test_stored_results_that_are_named_exist(file: Path) -> None:
    named = re.findall(r"`(?:benchmarks/results/)?(\w+\.jsonl?)`", file.read_text("utf-8"))
    assert named
    for name in named:
        assert (ROOT / "benchmarks" / "results" / name).is_file(), name


def test_modules_that_decisions_name_exist() -> None:
    listed = subprocess.run(["git", "ls-files", "*.py"], cwd=ROOT, capture_output=True, text=True, check=True)
    known = [f"/{name}" for name in listed.stdout.splitlines()]
    named = re.findall(r"`([\w/]+\.py)`", without_code(DECISIONS))
    assert named
    assert [name for name in named if not any(path.endswith(f"/{name}") for path in known)] == []
