"""The map in docs/architecture.md against the tree: a module that is missing there, or gone here, fails."""

import re
import subprocess
from itertools import combinations
from pathlib import Path

ROOT = Path(__file__).parents[1]
HEADING = re.compile(r"^### `(?P<room>[\w/.]+)`", re.MULTILINE)
ROW = re.compile(r"^\| (?P<names>`[^|]+`) \|", re.MULTILINE)
ROOMS = ("pipeline", "workers", "benchmarks", "configs")
WHOLE = {
    "benchmarks": {"baselines"},
    "events": {"document"},
    "model": {"guide", "options", "step"},
    "runtime": {"shipped"},
    "view/web": {"page", "page_attention", "page_events", "page_keep_view"},
    "wire": {"ends", "garbage", "processes", "strangers", "transport"},
    "wire/shared": {"shared_frames"},
    "workers": {
        "age_limit", "alone", "batches", "demo", "disk_full", "faults", "files", "freshness", "many_streams",
        "motion_maps", "rtsp", "shared_memory",
    },
    "workers/fleet": {"fleet_partition"},
}  # fmt: skip
"""Tests of more than one module, by room: of a promise that several keep together, or of whole processes."""
ALIKE = {("base", "base"), ("state", "stats")}
"""Names that may be alike: the base of its room, and the terms of two fields."""


def modules() -> set[str]:
    """Python modules that git knows, without `__init__.py`, which speak of their rooms themselves."""
    listed = subprocess.run(["git", "ls-files", *ROOMS], cwd=ROOT, capture_output=True, text=True, check=True)
    paths = [Path(line) for line in listed.stdout.splitlines()]
    return {str(path) for path in paths if path.suffix == ".py" and path.name != "__init__.py"}


def on_the_map() -> list[str]:
    """Paths of the map: below a heading that names a room, the first cell of a row names files in it."""
    text = (ROOT / "docs" / "architecture.md").read_text("utf-8")
    _, *parts = re.split(HEADING, text)
    return [
        f"{room}/{name}"
        for room, part in zip(parts[::2], parts[1::2], strict=True)
        for row in ROW.finditer(part.partition("\n## ")[0])
        for name in re.findall(r"`([\w/]+\.py)`", row["names"])
    ]


def test_every_module_is_on_the_map_once() -> None:
    listed = on_the_map()
    assert sorted(listed) == sorted(modules())


def test_every_room_says_what_it_is_for_and_what_may_come_in() -> None:
    for package in (ROOT / "pipeline").rglob("__init__.py"):
        text = package.read_text("utf-8")
        assert text.startswith('"""'), package
        assert len(text.strip('"\n').splitlines()) >= 3 or package.parent.name == "pipeline", package


def test_test_files_are_named_after_their_module() -> None:
    strays = set()
    for file in (ROOT / "tests").rglob("test_*.py"):
        room, name = str(file.parent.relative_to(ROOT / "tests")), file.stem.removeprefix("test_")
        homes = (ROOT / "pipeline" / room / name, ROOT / room / name)
        is_mirror = any(home.with_suffix(".py").exists() or home.is_dir() for home in homes)
        if room != "." and not is_mirror and name not in WHOLE.get(room, set()):
            strays.add(str(file.relative_to(ROOT)))
    assert strays == set()


def a_letter_apart(name: str, other: str) -> bool:
    short, long = sorted((name, other), key=len)
    if len(short) == len(long):
        return sum(a != b for a, b in zip(short, long, strict=True)) <= 1
    return len(long) == len(short) + 1 and any(long[:n] + long[n + 1 :] == short for n in range(len(long)))


def test_no_two_modules_have_names_that_differ_by_a_letter_or_by_their_room() -> None:
    assert a_letter_apart("reader", "readers")
    assert a_letter_apart("fuse", "fuze")
    assert not a_letter_apart("film", "files")
    alike = [
        (first, second)
        for first, second in combinations(sorted(modules()), 2)
        if a_letter_apart(Path(first).stem, Path(second).stem)
    ]
    named = {tuple(sorted((Path(first).stem, Path(second).stem))) for first, second in alike}
    assert named <= ALIKE, alike
