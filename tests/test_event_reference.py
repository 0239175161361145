"""docs/reference/events.md against the schema of rules and events."""

import re
from pathlib import Path
from typing import get_args

import pytest

from pipeline.base.event import Event, EventKind
from pipeline.base.known_ground import Ground
from pipeline.base.picture_state import FAULTS
from pipeline.base.watched import Line, Rule, RuleKind, View, Zone

DOCS = Path(__file__).parents[1] / "docs"
PAGE = DOCS / "reference" / "events.md"


def keys_below(heading: str) -> list[str]:
    part = PAGE.read_text("utf-8").partition(f"\n## {heading}\n")[2].partition("\n## ")[0]
    return re.findall(r"^\| `(\w+)` \|", part, re.MULTILINE)


def test_every_kind_is_on_the_page_once() -> None:
    rules, camera = keys_below("Kinds of rules"), keys_below("Events about a camera")
    assert sorted(rules) == sorted(get_args(RuleKind))
    assert set(FAULTS) < set(camera)
    kinds = [*rules, *camera, *keys_below("Events about the pipeline")]
    assert sorted(kinds) == sorted(get_args(EventKind))


@pytest.mark.parametrize(
    ("heading", "schema"),
    [
        ("Keys of a rule", Rule),
        ("Keys of a zone", Zone),
        ("Keys of a line", Line),
        ("Keys of a view", View),
        ("Keys of `[ground.NAME]`", Ground),
        ("Fields of an event", Event),
    ],
)
def test_every_key_of_the_schema_is_on_the_page_once(heading: str, schema: type) -> None:
    assert sorted(keys_below(heading)) == sorted(schema.__struct_fields__)
