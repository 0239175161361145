import json

import msgspec
import pytest

from pipeline.view.jsonl import PredictionWriter, PredictionWriterError
from tests.view.samples import prediction


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
