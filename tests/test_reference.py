"""The generated pages of docs/reference: they are current, and what they are made from is complete."""

import importlib
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any, Literal

import msgspec
import pytest

ROOT = Path(__file__).parents[1]


@pytest.fixture
def reference() -> Iterator[dict[str, Any]]:
    """The modules of the generator, which is no package."""
    sys.path.insert(0, str(ROOT / "docs"))
    try:
        yield {
            name: importlib.import_module(name)
            for name in ("make_reference", "reference_config", "reference_markdown")
        }
    finally:
        sys.path.remove(str(ROOT / "docs"))


def test_every_page_is_current() -> None:
    command = [sys.executable, "docs/make_reference.py", "--check"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_a_stale_page_is_named_and_left_alone_by_check(
    reference: dict[str, Any],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    make = reference["make_reference"]
    pages = shutil.copytree(make.FOLDER, tmp_path / "reference")
    monkeypatch.setattr(make, "FOLDER", pages)
    page = pages / "modules.md"
    page.write_text(page.read_text("utf-8").replace("run_stream.py", "run_river.py"), "utf-8")
    assert make.main(["--check"]) == 1
    assert capsys.readouterr().out == (
        "docs/reference/modules.md is out of date: run python docs/make_reference.py\n"
    )
    assert "run_river.py" in page.read_text("utf-8")
    assert make.main([]) == 0
    assert "run_river.py" not in page.read_text("utf-8")
    assert make.main(["--check"]) == 0


class Oven(msgspec.Struct):
    heat_ms: Annotated[float, msgspec.Meta(ge=0.0, le=2000.0)]
    doors: list[Literal["left", "right"]]
    label: str | None


class Kitchen(msgspec.Struct):
    oven: Oven


def rows(reference: dict[str, Any], path: Path, text: str) -> list[Any]:
    path.write_text(text, "utf-8")
    return list(reference["reference_config"].filled(path, Kitchen, frozenset()))


def test_a_table_has_default_values_unit_and_meaning_of_each_key(
    reference: dict[str, Any], tmp_path: Path
) -> None:
    text = (
        "# A kitchen.\n\n# How it bakes.\n# And more.\n[oven]\nheat_ms = 5.0 # a wait; 0 = none\n"
        'doors = ["left", "right"] # which | open\n# label = "x"  # shown\n'
    )
    ((table, found),) = rows(reference, tmp_path / "kitchen.toml", text)
    assert (table.name, table.meaning) == ("oven", "How it bakes.")
    assert found == [
        ["`heat_ms`", "`5.0`", "0 to 2,000 ms", "a wait; `0` = none"],
        ["`doors`", '`["left", "right"]`', "list of `left`, `right`", r"which \| open"],
        ["`label`", "", "text", "shown"],
    ]


class Shelf(msgspec.Struct, kw_only=True):
    """A shelf.

    Attributes:
        note: What is on it,
            in a few words.
        boards: How many there are.
        depth_m: From the wall.
    """

    note: str = "x"
    boards: Annotated[int, msgspec.Meta(ge=1, le=9)]
    depth_m: Annotated[float, msgspec.Meta(gt=0.0, lt=2.0)] | None = None


class Deeper(Shelf):
    """Attributes:
        note: The same.
    """  # fmt: skip


def test_a_struct_describes_its_keys_in_its_docstring(reference: dict[str, Any]) -> None:
    structs = reference["reference_config"].structs
    assert structs(Shelf) == [
        ["`boards`", "required", "1 to 9", "How many there are"],
        ["`note`", '`"x"`', "text", "What is on it, in a few words"],
        ["`depth_m`", "", "above 0 to below 2 m", "From the wall"],
    ]
    with pytest.raises(SystemExit, match="Deeper: describe boards under Attributes"):
        structs(Deeper)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[oven]\nheat_ms = 5.0\ndoors = [] # d\n# label = 1 # l\n", "add a comment after heat_ms"),
        ("[oven]\nheat_ms = 5.0 # h\ndoors = [] # d\n", "only in the file or only in the schema: label"),
        (
            "[oven]\nheat_ms = 5.0 # h\ndoors = [] # d\n# label = 1 # l\ngas = 1 # g\n",
            "only in the file or only in the schema: gas",
        ),
    ],
    ids=["no comment", "missing key", "unknown key"],
)
def test_a_file_that_does_not_describe_its_schema_is_refused(
    reference: dict[str, Any], tmp_path: Path, text: str, message: str
) -> None:
    with pytest.raises(SystemExit, match=re.escape(message)):
        rows(reference, tmp_path / "kitchen.toml", text)


@pytest.mark.parametrize(
    ("text", "markdown"),
    [
        ("use ``--data``, or --set a.b=c", "use `--data`, or `--set` `a.b=c`"),
        ("see docs/fleet.md", "see [fleet.md](../fleet.md)"),
        ("see docs/reference/wire.md", "see [wire.md](wire.md)"),
        ('"" = none; <name> | *', r'`""` = none; &lt;name> \| \*'),
        ("run.output_dir and inference.motion_maps", "`run.output_dir` and `inference.motion_maps`"),
    ],
)
def test_plain_text_becomes_markdown(reference: dict[str, Any], text: str, markdown: str) -> None:
    assert reference["reference_markdown"].prose(text) == markdown
