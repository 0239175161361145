"""docs/architecture.md and docs/reference/modules.md against the tree, and the names of modules and tests."""

import re
import subprocess
import tomllib
from itertools import combinations
from pathlib import Path

ROOT = Path(__file__).parents[1]
MAP = ROOT / "docs" / "architecture.md"
MODULES = ROOT / "docs" / "reference" / "modules.md"
HEADING = re.compile(r"^## `(?P<room>[\w/.]+)`\n\n(?P<purpose>.+)", re.MULTILINE)
ROW = re.compile(r"^\| `(?P<name>\w+\.py)` \| (?P<purpose>.+) \|$", re.MULTILINE)
LINK = re.compile(r"\[`(?P<path>[\w/.]+)`\]\(reference/modules\.md#(?P<anchor>\w+)\)")
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


def listed() -> dict[str, list[str]]:
    """Modules of docs/reference/modules.md by room."""
    _, *parts = re.split(HEADING, MODULES.read_text("utf-8"))
    return {
        room: [row["name"] for row in ROW.finditer(text)]
        for room, text in zip(parts[::3], parts[2::3], strict=True)
    }


def test_every_module_is_listed_once_in_its_room() -> None:
    found = [f"{room}/{name}" for room, names in listed().items() for name in names]
    assert sorted(found) == sorted(modules())


def test_every_room_is_listed_with_its_purpose() -> None:
    packages = {
        str(file.parent.relative_to(ROOT)) for room in ROOMS for file in (ROOT / room).rglob("__init__.py")
    }
    assert listed().keys() == packages - {"pipeline"}


def test_the_map_describes_every_room_of_the_import_contract() -> None:
    contracts = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["tool"]["importlinter"][
        "contracts"
    ]
    layers = next(contract["layers"] for contract in contracts if contract["type"] == "layers")
    rows = re.findall(r"^\| (?P<row>\d?) ?\| \[`([\w/]+)`\]", MAP.read_text("utf-8"), re.MULTILINE)
    described: list[set[str]] = []
    for row, room in rows:
        described += [set()] if row else []
        described[-1] |= {room} if "/" not in room else set()
    assert described == [
        {name.strip().removeprefix("pipeline.") for name in row.split("|")} for row in layers
    ]


def test_links_of_the_map_lead_to_the_rooms_of_their_modules() -> None:
    rooms = listed()
    links = list(LINK.finditer(MAP.read_text("utf-8")))
    assert len(links) > 30
    for link in links:
        path = link["path"] if link["path"].split("/")[0] in ROOMS else f"pipeline/{link['path']}"
        room, _, name = path.rpartition("/") if path.endswith(".py") else (path, "", "")
        assert not name or name in rooms[room], path
        assert link["anchor"] == room.replace("/", ""), path


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
