import json

import msgspec

from pipeline.base.camera_velocity import CameraMotion
from pipeline.base.moving_thing import Thing
from pipeline.view.jsonl import PredictionWriter
from tests.view.samples import prediction

CAMERA = CameraMotion(speed=0.123456789, direction_deg=0.0, zoom=-0.5, roll_deg=2.0, shake=0.0)


def test_each_line_has_exactly_the_promised_keys(tmp_path):
    path = tmp_path / "new" / "predictions.jsonl"
    with PredictionWriter(path) as writer:
        writer.add(prediction(depth=1, capture_ns=1_700_000_000_123_456_789))
        writer.add(msgspec.structs.replace(prediction(), stream_id="garden", epoch=3, seq=9))
    first, second = (json.loads(line) for line in path.read_text().splitlines())
    assert first == {
        "stream_id": "door",
        "epoch": 0,
        "seq": 7,
        "capture_ns": 1_700_000_000_123_456_789,
        "depth": 1,
        "top": [["pan_left", 0.75], ["static", 0.2], ["zoom_in", 0.05]],
        "generation": 0,
    }
    assert (second["stream_id"], second["epoch"], second["seq"], second["depth"]) == ("garden", 3, 9, 2)


def test_the_time_in_the_file_is_in_the_line_if_the_source_has_one(tmp_path):
    path = tmp_path / "p.jsonl"
    with PredictionWriter(path) as writer:
        for pts_ns in (0, 33_366_666, 3_600_000_000_000, None):
            writer.add(msgspec.structs.replace(prediction(), pts_ns=pts_ns))
    *timed, untimed = (json.loads(line) for line in path.read_text().splitlines())
    assert [line["media_s"] for line in timed] == [0.0, 0.033367, 3600.0]
    assert "media_s" not in untimed


def test_things_of_a_network_with_dense_motion_are_in_the_line(tmp_path):
    thing = Thing(
        id=3,
        box=(0.1, 0.2, 0.123456789, 0.25),
        outline=[(0.1, 0.2), (0.22, 0.45)],
        speed=0.123456789,
        direction_deg=90.0,
        age_ms=1500.0,
        score=0.75,
        trail=[(0.1, 0.1)],
        was=[(0.1, 0.2, 0.1, 0.2)],
    )
    path = tmp_path / "p.jsonl"
    with PredictionWriter(path) as writer:
        for things in ([thing], [], None):
            writer.add(msgspec.structs.replace(prediction(), things=things, camera=CAMERA))
    first, second, third = (json.loads(line) for line in path.read_text().splitlines())
    assert first["things"] == [
        {
            "id": 3,
            "box": [0.1, 0.2, 0.1235, 0.25],
            "outline": [[0.1, 0.2], [0.22, 0.45]],
            "speed": 0.1235,
            "direction_deg": 90.0,
            "age_ms": 1500.0,
            "score": 0.75,
        }
    ]
    assert second["things"] == []
    assert first["camera"] == second["camera"]
    assert first["camera"] == {
        "speed": 0.1235,
        "direction_deg": 0.0,
        "zoom": -0.5,
        "roll_deg": 2.0,
        "shake": 0.0,
    }
    assert not {"things", "camera"} & set(third)
