import csv
import json
from pathlib import Path

import pytest

from pipeline.base.errors import UserError
from pipeline.events.exporting import as_text, format_of
from pipeline.events.store import Store
from tests.events.samples import chunk, event, look


def test_the_name_of_a_file_says_its_format() -> None:
    assert format_of(Path("a.json"), None) == ("json", (0, 0))
    assert format_of(Path("a.csv"), None) == ("csv", (0, 0))
    assert format_of(Path("a.coco.json"), "640x480") == ("coco", (640, 480))
    with pytest.raises(UserError, match="give the image size"):
        format_of(Path("a.coco.json"), None)
    with pytest.raises(UserError, match="as 1920x1080"):
        format_of(Path("a.coco.json"), "640")
    with pytest.raises(UserError, match="the name must end in"):
        format_of(Path("a.txt"), None)


def test_json_and_csv_hold_all_that_an_event_says(place: Path) -> None:
    events = [event(1, why={"way": "forward"}), event(2, "start", speed=0.25)]
    with Store(place / "s", 30, 10) as store:
        archive = store.archive()
        found = json.loads(as_text("json", events, archive, (0, 0)))
        rows = list(csv.DictReader(as_text("csv", events, archive, (0, 0)).splitlines()))
    assert [one["id"] for one in found] == [one.id for one in events]
    assert found[0]["why"] == {"way": "forward"}
    assert [row["time"] for row in rows] == [one.time for one in events]
    assert json.loads(rows[0]["why"]) == {"way": "forward"}
    assert (rows[1]["speed"], rows[1]["why"], rows[1]["zone"]) == ("0.25", "", "drive")


def test_boxes_are_those_of_the_things_when_it_happened(place: Path) -> None:
    events = [event(1), event(7.04, kind="left"), event(3, thing=9), event(20)]
    with Store(place / "s", 30, 10) as store:
        store.write(events, [chunk(0), chunk(5), chunk(1, stream_id="back")])
        coco = json.loads(as_text("coco", events, store.archive(), (1000, 500)))
    assert [image["file_name"] for image in coco["images"]] == [f"front/{one.id}.jpg" for one in events[:2]]
    assert coco["images"][0]["date_captured"] == events[0].time
    names = {one["id"]: one["name"] for one in coco["categories"]}
    assert [names[one["category_id"]] for one in coco["annotations"]] == ["entered", "left"]
    for one, second in zip(coco["annotations"], (1, 7.04), strict=True):
        left, top, width, height = look(second).things[0].box
        assert one["bbox"] == pytest.approx([left * 1000, top * 500, width * 1000, height * 500], abs=0.06)
        assert one["area"] == pytest.approx(width * height * 500_000, abs=0.1)
