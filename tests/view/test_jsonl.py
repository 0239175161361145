import json
import os
import subprocess
import sys
from pathlib import Path

import msgspec
import pytest

from pipeline.base.camera_velocity import CameraMotion
from pipeline.base.moving_thing import Thing
from pipeline.view.jsonl import PredictionWriter, PredictionWriterError
from tests.view.samples import prediction

CAMERA = CameraMotion(speed=0.123456789, direction_deg=0.0, zoom=-0.5, roll_deg=2.0, shake=0.0)


def test_each_line_has_exactly_the_promised_keys(tmp_path):
    path = tmp_path / "new" / "predictions.jsonl"
    with PredictionWriter(path) as writer:
        writer.write(prediction(depth=1, capture_ns=1_700_000_000_123_456_789))
        writer.write(msgspec.structs.replace(prediction(), stream_id="garden", epoch=3, seq=9))
    first, second = (json.loads(line) for line in path.read_text().splitlines())
    assert first == {
        "stream_id": "door",
        "epoch": 0,
        "seq": 7,
        "capture_ns": 1_700_000_000_123_456_789,
        "depth": 1,
        "top": [["pan_left", 0.75], ["static", 0.2], ["zoom_in", 0.05]],
    }
    assert (second["stream_id"], second["epoch"], second["seq"], second["depth"]) == ("garden", 3, 9, 2)


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
            writer.write(msgspec.structs.replace(prediction(), things=things, camera=CAMERA))
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


def test_a_line_is_on_disk_as_soon_as_it_is_written(tmp_path):
    path = tmp_path / "p.jsonl"
    with PredictionWriter(path) as writer:
        for count in (1, 2, 3):
            writer.write(prediction())
            assert path.read_text().count("\n") == count


def test_a_new_run_replaces_the_file(tmp_path):
    path = tmp_path / "p.jsonl"
    path.write_text("old\n")
    with PredictionWriter(path):
        pass
    assert path.read_text() == ""


@pytest.mark.parametrize("where", ["folder", "below a file"])
def test_a_place_that_cannot_be_written_is_one_readable_line(tmp_path, where):
    (tmp_path / "file").write_text("")
    path = tmp_path if where == "folder" else tmp_path / "file" / "p.jsonl"
    with pytest.raises(PredictionWriterError, match="can't be written: ") as error:
        PredictionWriter(path)
    assert str(path) in str(error.value)
    assert "\n" not in str(error.value)


def test_a_full_disk_stops_the_writer_only():
    writer = PredictionWriter("/dev/full")
    with pytest.raises(PredictionWriterError, match="/dev/full: can't be written: no space left"):
        writer.write(prediction())
    assert writer.closed
    writer.write(prediction())
    writer.close()


def test_it_says_which_folder_it_had_to_make(tmp_path):
    with PredictionWriter(tmp_path / "one" / "two" / "p.jsonl") as writer:
        assert writer.made_folder == tmp_path / "one"
    with PredictionWriter(tmp_path / "one" / "two" / "q.jsonl") as writer:
        assert writer.made_folder is None


def write_many(writer):
    for _ in range(10_000):
        writer.write(prediction())


def test_a_full_disk_leaves_whole_lines_only(small_disk):
    path = small_disk / "p.jsonl"
    writer = PredictionWriter(path)
    with pytest.raises(PredictionWriterError, match="can't be written: no space left on device"):
        write_many(writer)
    assert writer.closed
    data = path.read_bytes()
    assert len(data) > 50_000
    assert data.endswith(b"\n")
    for line in data.splitlines():
        assert json.loads(line)["stream_id"] == "door"


def test_a_restart_goes_on_after_the_last_whole_line(tmp_path):
    path = tmp_path / "p.jsonl"
    with PredictionWriter(path) as writer:
        writer.write(prediction())
    whole = path.read_bytes()
    path.write_bytes(whole + whole[:40])
    with PredictionWriter(path, append=True) as writer:
        writer.write(prediction())
    assert path.read_bytes() == whole + whole


def test_a_restart_begins_with_an_empty_file_where_no_line_was_whole(tmp_path):
    path = tmp_path / "p.jsonl"
    path.write_text('{"stream_id": "do')
    with PredictionWriter(path, append=True) as writer:
        writer.write(prediction())
    assert [json.loads(line)["seq"] for line in path.read_text().splitlines()] == [7]


def test_a_dash_is_standard_output_alone(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    reading, writing = os.pipe()
    with os.fdopen(reading) as reader:
        with PredictionWriter("-", stdout=writing) as writer:
            writer.write(prediction())
            writer.write(prediction())
        os.close(writing)  # the writer leaves it open
        lines = reader.read().splitlines()
    assert [json.loads(line)["seq"] for line in lines] == [7, 7]
    assert list(tmp_path.iterdir()) == []


PROGRAM = """
from pipeline.base.camera_velocity import CameraMotion
from pipeline.base.moving_thing import Thing
from pipeline.view.jsonl import PredictionWriter
from tests.view.samples import prediction
with PredictionWriter("-", stdout=1) as writer:
    for _ in range(20_000):  # more than a pipe holds
        writer.write(prediction())
    assert writer.closed
"""


def test_the_end_of_a_pipe_is_the_end_of_the_writer_and_no_error(tmp_path):
    program = subprocess.Popen(
        [sys.executable, "-c", PROGRAM],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])},
    )
    with program:
        first = json.loads(program.stdout.readline())
        program.stdout.close()
        assert program.wait(60) == 0
        assert program.stderr.read() == b""
    assert first["stream_id"] == "door"


def test_standard_output_on_a_full_disk_is_named_and_ends_with_a_whole_line(small_disk):
    path = small_disk / "out.jsonl"
    with path.open("wb") as file:
        writer = PredictionWriter("-", stdout=file.fileno())
        with pytest.raises(PredictionWriterError, match=r"^standard output: can't be written: no space left"):
            write_many(writer)
    assert path.read_bytes().endswith(b"\n")
