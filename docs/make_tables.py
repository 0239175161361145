"""Generates the tables of the documents from the stored results in benchmarks/results.

    python docs/make_tables.py             # writes the tables
    python docs/make_tables.py --check     # only lists outdated tables; exit code 1 if there are any

A table, and the line below it that names its source, are placed between two comments:

    <!-- table: end_to_end -->
    <!-- /table -->

The tables are defined in `benchmarks/tables`; `--list` prints their names.
"""

import argparse
import re
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from benchmarks.tables import (  # noqa: E402
    ablation_tables,
    accuracy_tables,
    cpu_tables,
    event_tables,
    readme_table,
    speed_tables,
    worker_tables,
)
from benchmarks.tables.result_files import Tables  # noqa: E402

TABLES: Tables = {
    **readme_table.TABLES,
    **speed_tables.TABLES,
    **cpu_tables.TABLES,
    **accuracy_tables.TABLES,
    **event_tables.TABLES,
    **worker_tables.TABLES,
    **ablation_tables.TABLES,
}
_MARKER = re.compile(r"^<!-- (?:table: (?P<name>\S+)|/table) -->$", re.MULTILINE)


def fill(text: str) -> tuple[str, list[str]]:
    """The page with its tables regenerated, and the names of those that were out of date.

    Raises:
        ValueError: A table does not exist, or a start or end comment is missing.
    """
    made, stale, at = list[str](), list[str](), 0
    name: str | None = None
    for marker in _MARKER.finditer(text):
        if (marker["name"] is None) != (name is not None):
            raise ValueError(f"unexpected {marker[0]}: tables need <!-- table: NAME --> and <!-- /table -->")
        part = text[at : marker.start()]
        if name is None:
            name = marker["name"]
            if name not in TABLES:
                raise ValueError(f"unknown table {name!r}; available: {', '.join(TABLES)}")
        else:
            new = f"\n\n{TABLES[name]()}\n\n"
            stale += [name] if new != part else []
            part, name = new, None
        made += [part, marker[0]]
        at = marker.end()
    if name is not None:
        raise ValueError(f"table {name!r} has no end: add <!-- /table -->")
    return "".join([*made, text[at:]]), stale


def main() -> int:
    """Runs the command line; returns 1 if a table is out of date, 2 if a page can't be updated."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "pages", nargs="*", type=Path, help="pages to update; default: README.md and all of docs"
    )
    parser.add_argument("--check", action="store_true", help="only list outdated tables; write nothing")
    parser.add_argument("--list", action="store_true", help="print the names of all tables")
    options = parser.parse_args()
    if options.list:
        print("\n".join(TABLES))
        return 0
    code = 0
    for page in options.pages or [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]:
        try:
            text = page.read_text("utf-8")
            made, stale = fill(text)
        except (OSError, ValueError) as error:
            print(f"{page}: {error}", file=sys.stderr)
            return 2
        if stale and not options.check:
            page.write_text(made, encoding="utf-8")
        if stale and options.check:
            code = 1
            names = ", ".join(stale)
            print(f"{page}: out of date: {names}; run python docs/make_tables.py", file=sys.stderr)
    return code


if __name__ == "__main__":
    sys.exit(main())
