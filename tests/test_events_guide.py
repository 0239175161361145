"""What the event guides show: tables are configurations, commands exist, links to their parts lead there."""

import json
import re
import shlex
import tomllib
from pathlib import Path
from typing import Any, get_args

import msgspec
import pytest
import typer.main

from benchmarks.nuisance.known_clips import Truth
from pipeline.base.config import Config, load_config
from pipeline.base.event import Event
from pipeline.base.watched import RuleKind
from tests.test_recipes import parsed
from workers.commands.app import app

DOCS = Path(__file__).parents[1] / "docs"
GUIDES = [DOCS / "events.md", DOCS / "event_accuracy.md"]
PAGES = [*GUIDES, DOCS / "outlets.md", *(DOCS / "recipes").glob("*.md")]
REFERENCES = [DOCS / "reference" / f"{name}.md" for name in ("events", "http", "report", "storage", "wire")]
GUIDE = "\n".join(page.read_text("utf-8") for page in GUIDES)


def blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```$", GUIDE, re.DOTALL | re.MULTILINE)


def merged(tables: list[dict[str, Any]]) -> dict[str, Any]:
    whole: dict[str, Any] = {}
    for table in tables:
        for name, values in table.items():
            whole.setdefault(name, {}).update(values)
    return whole


def load(tables: list[dict[str, Any]]) -> Config:
    return load_config(None, [], merged(tables))


def test_the_tables_are_one_configuration_and_one_truth_file() -> None:
    tables = [tomllib.loads(block) for block in blocks("toml")]
    (truth,) = (table for table in tables if "clip" in table)
    watch = load([table for table in tables if "clip" not in table]).watched()
    assert {"visitor", "too_fast"} <= watch.rules.keys()
    assert {"gate", "yard"} <= watch.views.keys()
    assert {"car_park", "lane"} == watch.ground.keys()
    assert msgspec.convert(truth, Truth).events


def test_the_table_of_wishes_has_every_kind_of_rule() -> None:
    part = GUIDE.partition("| you want to | rule |")[2].partition("\n\n")[0]
    rows = re.findall(r"^\| .* \| (.*) \|$", part, re.MULTILINE)
    kinds = [name for row in rows if "kind =" in row for name in re.findall(r'"(\w+)"', row)]
    assert set(get_args(RuleKind)) <= set(kinds)


def test_the_event_has_keys_of_events() -> None:
    (block,) = blocks("json")
    assert msgspec.convert(json.loads(block), Event).kind == "entered"


def test_commands_have_options_that_exist() -> None:
    commands = re.findall(r"python run_stream\.py ([^`\n#]*)", GUIDE.replace("\\\n", ""))
    assert len(commands) > 6
    for line in commands:
        parsed(typer.main.get_command(app), shlex.split(line))


@pytest.mark.parametrize("page", [*PAGES, *REFERENCES], ids=lambda page: str(page.relative_to(DOCS)))
def test_links_to_parts_of_these_pages_lead_there(page: Path) -> None:
    for target, part in re.findall(r"\]\((?!https?:)([^)#]*)#([^)]+)\)", page.read_text("utf-8")):
        file = (page.parent / target).resolve() if target else page
        if file in [one.resolve() for one in (*PAGES, *REFERENCES)]:
            headings = re.findall(r"^#+ (.*)$", file.read_text("utf-8"), re.MULTILINE)
            assert part in [slug(heading) for heading in headings], f"{page.name}: {target}#{part}"


def slug(heading: str) -> str:
    """As GitHub makes it."""
    return re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-")
