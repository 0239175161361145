"""docs/reference/wire.md against the structs, topics and refusals of ``pipeline.wire``."""

import ast
import re
from pathlib import Path

import msgspec
import pytest

from pipeline.base.camera_velocity import CameraMotion
from pipeline.base.moving_thing import Thing
from pipeline.base.sight import Sight
from pipeline.flow.freshness.ages import Feedback
from pipeline.wire import topics
from pipeline.wire.messages import (
    WIRE_VERSION,
    AttentionHeader,
    BadPicture,
    EndOfStream,
    FrameHeader,
    Identity,
    MotionMapsHeader,
    Offer,
    PastFrame,
    Prediction,
    Stats,
    TakeView,
)

ROOT = Path(__file__).parents[1]
PAGE = (ROOT / "docs" / "reference" / "wire.md").read_text("utf-8")


def rows(heading: str) -> list[str]:
    part = PAGE.partition(f"\n## {heading}\n")[2].partition("\n## ")[0]
    return re.findall(r"^\| .* \|$", part, re.MULTILINE)[1:]


def first_cells(heading: str) -> list[str]:
    cells = [row.split(" | ")[0] for row in rows(heading)]
    return [name for cell in cells for name in re.findall(r"`([^`]+)`", cell)]


@pytest.mark.parametrize(
    ("heading", "schema"),
    [
        ("Fields of `frame`", FrameHeader),
        ("Fields of `end`", EndOfStream),
        ("Fields of `prediction`", Prediction),
        ("Fields of `bad_picture`", BadPicture),
        ("Fields of `offer`", Offer),
        ("Fields of `stats`", Stats),
        ("Fields of `TakeView`", TakeView),
        ("Fields of `Feedback`", Feedback),
        ("Fields of a thing", Thing),
        ("Fields of `camera`", CameraMotion),
        ("Fields of `sight`", Sight),
        ("Identity of a frame", Identity),
    ],
)
def test_every_field_is_on_the_page_once(heading: str, schema: type[msgspec.Struct]) -> None:
    fields = set(schema.__struct_fields__)
    if schema is not Identity and issubclass(schema, Identity):
        fields -= set(Identity.__struct_fields__)
    assert sorted(first_cells(heading)) == sorted(fields)
    tag = schema.__struct_config__.tag
    if isinstance(tag, str):
        assert heading == f"Fields of `{tag}`"


@pytest.mark.parametrize(
    ("field", "schema"),
    [("past", PastFrame), ("attention", AttentionHeader), ("motion_maps", MotionMapsHeader)],
)
def test_what_a_field_of_a_prediction_holds_is_in_its_row(field: str, schema: type[msgspec.Struct]) -> None:
    (row,) = (row for row in rows("Fields of `prediction`") if row.startswith(f"| `{field}` |"))
    assert re.findall(r"`(\w+)`", row.partition(":")[2]) == list(schema.__struct_fields__)


def test_topics_are_on_the_page_and_no_others() -> None:
    shown = set(first_cells("Topics")) - {"end"}
    made = {
        topics.frames("newest", "S"),
        topics.without("newest", b"T"),
        topics.again(b"R", "S"),
        topics.offer("newest", "S"),
        topics.predictions("newest", "S"),
        topics.STATS,
        topics.flush("newest"),
    }
    notices = {
        topics.role("newest", "inference"),
        topics.role("newest", "sink"),
        topics.reader("newest", b"R", "S"),
        topics.again(b"R", "S"),
        topics.taken(b"R", b"T"),
        topics.opened(b"T", b"R"),
        topics.closed(b"T", b"R"),
        topics.age(b"P"),
        topics.view(b"P"),
    }
    assert {as_made(topic) for topic in shown} == made
    assert {as_made(topic) for topic in first_cells("Notices from receivers")} == notices


def as_made(topic: str) -> bytes:
    """A topic of the page with names in its places; a token in hexadecimal where segments are named."""
    is_segment = topic.startswith(("a.", "opened", "closed"))
    names = {"lane": "newest", "stream_id": "S", "reader": "R", "packed": "P"}
    names["token"] = b"T".hex() if is_segment else "T"
    return re.sub(r"<(\w+)>", lambda found: names[found[1]], topic).encode()


def test_the_version_is_the_one_of_the_program() -> None:
    assert re.search(r"wire version `v`, now (\d+)", PAGE)[1] == str(WIRE_VERSION)  # type: ignore[index]


def test_every_reason_of_a_refusal_is_on_the_page_and_no_other() -> None:
    found = set()
    for file in (ROOT / "pipeline" / "wire").rglob("*.py"):
        for node in ast.walk(ast.parse(file.read_text("utf-8"))):
            match node:
                case ast.Call(func=ast.Name(id="WireError"), args=[reason, *_]):
                    constants = (one for one in ast.walk(reason) if isinstance(one, ast.Constant))
                    found |= {one.value for one in constants}
    assert set(first_cells("Rejected messages")) == found
