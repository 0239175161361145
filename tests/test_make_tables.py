"""docs/make_tables.py: no table of a document is out of date, and none can become so unnoticed."""

import importlib.util
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from benchmarks.tables.result_files import best, read, table

ROOT = Path(__file__).parents[1]
TOOL = ROOT / "docs" / "make_tables.py"


Made = tuple[int, str, str]
"""Exit code, standard output, standard error."""


@pytest.fixture
def make_tables(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Callable[..., Made]:
    """The command in this process, which has torch already."""
    monkeypatch.setattr(sys, "path", [*sys.path])
    spec = importlib.util.spec_from_file_location("make_tables", TOOL)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)

    def run(*arguments: str | Path) -> Made:
        monkeypatch.setattr(sys, "argv", ["make_tables.py", *map(str, arguments)])
        return (module.main(), *capsys.readouterr())

    return run


def test_no_table_of_a_document_is_out_of_date() -> None:
    checked = subprocess.run([sys.executable, TOOL, "--check"], capture_output=True, text=True, check=False)
    assert checked.returncode == 0, checked.stderr


def test_every_table_is_made_by_name_and_a_changed_number_is_named(
    make_tables: Callable[..., Made], tmp_path: Path
) -> None:
    names = make_tables("--list")[1].split()
    assert {"readme", "end_to_end", "flow", "nuisance_clips", "fleet_failures", "ablation_long"} <= set(names)
    page = tmp_path / "page.md"
    page.write_text("Before.\n\n" + "".join(f"<!-- table: {n} -->\n<!-- /table -->\nA\n" for n in names))
    before = page.read_text()
    assert make_tables("--check", page)[0] == 1
    assert page.read_text() == before, "--check writes nothing"
    assert make_tables(page) == (0, "", "")
    full = page.read_text()
    assert full.startswith("Before.\n\n<!-- table: readme -->\n\n| | KVQ Stream |")
    assert full.count("<!-- /table -->\nA\n") == len(names), "text between tables stays"
    assert full.count("|---|") >= len(names)
    assert make_tables("--check", page) == (0, "", "")

    step_ms = f"{read('step_motion_h200')['results'][0]['step_ms']:.1f}"
    wrong = full.replace(f"| 1 | {step_ms} |", "| 1 | 0.1 |")
    assert wrong != full
    page.write_text(wrong)
    told = f"{page}: out of date: steps_gpu; run python docs/make_tables.py\n"
    assert make_tables("--check", page) == (1, "", told)


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("<!-- table: no_such -->\n<!-- /table -->\n", "unknown table 'no_such'; available: readme, "),
        ("<!-- table: flow -->\n", "table 'flow' has no end: add <!-- /table -->"),
        ("<!-- /table -->\n", "unexpected <!-- /table -->: tables need "),
        ("<!-- table: flow -->\n<!-- table: still -->\n", "unexpected <!-- table: still -->: tables need "),
    ],
)
def test_a_page_that_cannot_be_filled_is_one_line(
    make_tables: Callable[..., Made], tmp_path: Path, text: str, problem: str
) -> None:
    page = tmp_path / "page.md"
    page.write_text(text)
    code, _, told = make_tables(page)
    assert code == 2
    assert told.startswith(f"{page}: {problem}")
    assert len(told.splitlines()) == 1
    assert page.read_text() == text


def test_the_readme_has_at_most_ten_rows_and_a_rival_in_each(
    make_tables: Callable[..., Made], tmp_path: Path
) -> None:
    page = tmp_path / "page.md"
    page.write_text("<!-- table: readme -->\n<!-- /table -->\n")
    make_tables(page)
    rows = [line.strip("|").split("|") for line in page.read_text().splitlines() if line.startswith("| ")][1:]
    assert 0 < len(rows) <= 10
    assert all(len(row) == 3 and row[1].strip() for row in rows)
    assert [row[0] for row in rows if row[2].strip() == "-"] == [row[0] for row in rows if "demo" in row[0]]


def test_cells_are_counted_and_the_best_is_bold() -> None:
    assert table(["", "a", "b"], [["x", "1", ""]]) == "| | a | b |\n|---|---:|---:|\n| x | 1 | |"
    with pytest.raises(ValueError, match="2 cells below 3 headings"):
        table(["", "a", "b"], [["x", "1"]])
    assert best([0.2, 0.1, 0.5], ["2", "1", "5"], low=True) == ["2", "**1**", "5"]
    assert best([0.501, 0.499], ["0.50", "0.50"]) == ["**0.50**", "**0.50**"], "they look alike"
