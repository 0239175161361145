import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from pipeline.base.line_file import LineFile, LineFileError

LINE = json.dumps({"stream_id": "door", "seq": 7, "top": [["pan_left", 0.75], ["static", 0.2]]}).encode()


def test_a_line_is_on_disk_as_soon_as_it_is_written(tmp_path):
    path = tmp_path / "p.jsonl"
    with LineFile(path) as writer:
        for count in (1, 2, 3):
            writer.write(LINE)
            assert path.read_text().count("\n") == count


def test_a_new_run_replaces_the_file(tmp_path):
    path = tmp_path / "p.jsonl"
    path.write_text("old\n")
    with LineFile(path):
        pass
    assert path.read_text() == ""


@pytest.mark.parametrize("where", ["folder", "below a file"])
def test_a_place_that_cannot_be_written_is_one_readable_line(tmp_path, where):
    (tmp_path / "file").write_text("")
    path = tmp_path if where == "folder" else tmp_path / "file" / "p.jsonl"
    with pytest.raises(LineFileError, match="can't be written: ") as error:
        LineFile(path)
    assert str(path) in str(error.value)
    assert "\n" not in str(error.value)


def test_a_full_disk_stops_the_writer_only():
    writer = LineFile("/dev/full")
    with pytest.raises(LineFileError, match="/dev/full: can't be written: no space left"):
        writer.write(LINE)
    assert writer.closed
    writer.write(LINE)
    writer.close()


def test_it_says_which_folder_it_had_to_make(tmp_path):
    with LineFile(tmp_path / "one" / "two" / "p.jsonl") as writer:
        assert writer.made_folder == tmp_path / "one"
    with LineFile(tmp_path / "one" / "two" / "q.jsonl") as writer:
        assert writer.made_folder is None


def write_many(writer):
    for _ in range(10_000):
        writer.write(LINE)


def test_a_full_disk_leaves_whole_lines_only(small_disk):
    path = small_disk / "p.jsonl"
    writer = LineFile(path)
    with pytest.raises(LineFileError, match="can't be written: no space left on device"):
        write_many(writer)
    assert writer.closed
    data = path.read_bytes()
    assert len(data) > 50_000
    assert data.endswith(b"\n")
    for line in data.splitlines():
        assert json.loads(line)["stream_id"] == "door"


def test_a_restart_goes_on_after_the_last_whole_line(tmp_path):
    path = tmp_path / "p.jsonl"
    with LineFile(path) as writer:
        writer.write(LINE)
    whole = path.read_bytes()
    path.write_bytes(whole + whole[:40])
    with LineFile(path, append=True) as writer:
        writer.write(LINE)
    assert path.read_bytes() == whole + whole


def test_a_restart_begins_with_an_empty_file_where_no_line_was_whole(tmp_path):
    path = tmp_path / "p.jsonl"
    path.write_text('{"stream_id": "do')
    with LineFile(path, append=True) as writer:
        writer.write(LINE)
    assert [json.loads(line)["seq"] for line in path.read_text().splitlines()] == [7]


def test_a_dash_is_standard_output_alone(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    reading, writing = os.pipe()
    with os.fdopen(reading) as reader:
        with LineFile("-", stdout=writing) as writer:
            writer.write(LINE)
            writer.write(LINE)
        os.close(writing)  # the writer leaves it open
        lines = reader.read().splitlines()
    assert [json.loads(line)["seq"] for line in lines] == [7, 7]
    assert list(tmp_path.iterdir()) == []


PROGRAM = """
from pipeline.base.line_file import LineFile
with LineFile("-", stdout=1) as writer:
    for _ in range(20_000):  # more than a pipe holds
        writer.write(b'{"stream_id": "door"}')
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
        writer = LineFile("-", stdout=file.fileno())
        with pytest.raises(LineFileError, match=r"^standard output: can't be written: no space left"):
            write_many(writer)
    assert path.read_bytes().endswith(b"\n")
