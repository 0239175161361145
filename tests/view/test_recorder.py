import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import av
import numpy as np
import pytest

from pipeline.view.recorder import Recorder, RecorderError, was_finished, was_recorded
from tests.view.samples import MS, picture

WRITER = """
import sys, time
from pipeline.view.recorder import Recorder
from tests.view.samples import picture
recorder = Recorder(sys.argv[1])
for number in range(120):
    recorder.write(picture(320, 240, number), number * 40_000_000)
print("written", flush=True)
time.sleep(60)
"""

SMALL_DISK = """
import resource, sys
import numpy as np
from pipeline.view.recorder import Recorder, RecorderError
resource.setrlimit(resource.RLIMIT_FSIZE, (400_000, 400_000))
noise = np.random.default_rng(0).integers(0, 256, (240, 320, 3), np.uint8)
recorder = Recorder(sys.argv[1])
for number in range(400):
    try:
        recorder.write(np.roll(noise, number, 1), number * 40_000_000)
        written = number + 1
    except RecorderError as error:
        print(error)
        break
else:
    sys.exit("the limit was never met")
recorder.write(noise, 0)
recorder.close()
print("closed", recorder.closed, "after", written)
"""


def decode(path):
    with av.open(str(path)) as container:
        return list(container.decode(video=0))


def count_until_damage(path):
    """Frames that play before the place where the disk was full."""
    count = 0
    with av.open(str(path)) as container:
        try:
            for _ in container.decode(video=0):
                count += 1
        except av.error.InvalidDataError:
            pass
    return count


def killed_recording(path: Path) -> Path:
    """A recording of 120 frames whose process was killed in the middle."""
    with subprocess.Popen(
        [sys.executable, "-c", WRITER, str(path)], stdout=subprocess.PIPE, text=True
    ) as child:
        assert child.stdout.readline() == "written\n"
        child.send_signal(signal.SIGKILL)
    return path


def record(path, times_ms, size=(64, 48), **options):
    with Recorder(path, **options) as recorder:
        for time_ms in times_ms:
            recorder.write(picture(*size), time_ms * MS)
    return [round(float(one.time) * 1000) for one in decode(path)]


def test_frames_keep_their_times(tmp_path):
    times = [0, 33, 100, 140, 900, 933]
    assert record(tmp_path / "a.mp4", [5_000 + time for time in times]) == times


def test_clock_that_jumps_never_goes_back(tmp_path):
    shown = record(tmp_path / "a.mp4", [1000, 1100, 50, 150, 150, 9_000_000, 9_000_100])
    assert shown == [0, 100, 140, 240, 280, 5280, 5380]


def test_colours_and_size_survive(tmp_path):
    image = np.zeros((48, 64, 3), np.uint8)
    image[:, :32], image[:, 32:] = (20, 30, 200), (200, 120, 20)
    with Recorder(tmp_path / "a.mp4") as recorder:
        recorder.write(image, 0)
    (one,) = decode(tmp_path / "a.mp4")
    got = one.to_ndarray(format="bgr24").astype(int)
    assert np.abs(got[8:40, 4:28] - image[8:40, 4:28]).max() < 16
    assert np.abs(got[8:40, 36:60] - image[8:40, 36:60]).max() < 16


def test_a_key_frame_at_least_every_second(tmp_path):
    record(tmp_path / "a.mp4", range(0, 10_000, 70))
    keys = [float(one.time) for one in decode(tmp_path / "a.mp4") if one.key_frame]
    assert len(keys) >= 9
    assert max(np.diff(keys)) <= 1.07


def test_what_is_called_playable_plays_though_nobody_finishes_it(tmp_path):
    with Recorder(tmp_path / "a.mp4") as recorder:
        for number in range(26):
            assert not recorder.playable
            recorder.write(picture(64, 48, number), number * 40 * MS)
        assert recorder.playable
        (tmp_path / "copy.mp4").write_bytes((tmp_path / "a.mp4").read_bytes())
    assert len(decode(tmp_path / "copy.mp4")) == 25


def test_odd_sizes_are_padded(tmp_path):
    record(tmp_path / "a.mp4", [0, 40], size=(101, 67))
    assert {(one.width, one.height) for one in decode(tmp_path / "a.mp4")} == {(102, 68)}


def test_other_size_begins_another_file(tmp_path):
    with Recorder(tmp_path / "door.mp4") as recorder:
        for number, size in enumerate([(64, 48), (64, 48), (96, 48), (64, 48)]):
            recorder.write(picture(*size), number * 40 * MS)
        assert recorder.path == tmp_path / "door.part3.mp4"
    assert [path.name for path in recorder.paths] == ["door.mp4", "door.part2.mp4", "door.part3.mp4"]
    assert [len(decode(path)) for path in recorder.paths] == [2, 1, 1]


def test_a_stream_called_like_a_part_keeps_its_file(tmp_path):
    with Recorder(tmp_path / "clip.mp4") as first, Recorder(tmp_path / "clip-2.mp4") as second:
        second.write(picture(64, 48), 0)
        for number, size in enumerate([(64, 48), (96, 48)]):
            first.write(picture(*size), number * 40 * MS)
    assert not set(first.paths) & set(second.paths)
    assert [(one.width, one.height) for one in decode(tmp_path / "clip-2.mp4")] == [(64, 48)]


def test_earlier_files_are_kept(tmp_path):
    for count in (1, 2, 3):
        sizes = [(64, 48)] * count + [(96, 48)]
        with Recorder(tmp_path / "door.mp4") as recorder:
            for number, size in enumerate(sizes):
                expected = recorder.path
                recorder.write(picture(*size), number * 40 * MS)
                assert number or recorder.path == expected
    names = ["door.mp4", *(f"door.part{part}.mp4" for part in range(2, 7))]
    assert sorted(path.name for path in tmp_path.iterdir()) == names
    assert [len(decode(tmp_path / name)) for name in names] == [1, 1, 2, 1, 3, 1]


def test_no_picture_no_file(tmp_path):
    with Recorder(tmp_path / "a.mp4") as recorder:
        pass
    recorder.close()
    assert list(tmp_path.iterdir()) == []


def test_killed_writer_leaves_a_file_that_plays(tmp_path):
    frames = decode(killed_recording(tmp_path / "killed.mp4"))
    assert 100 <= len(frames) <= 120
    assert [float(one.time) for one in frames[:3]] == [0, 0.04, 0.08]


def test_full_disk_stops_the_recording_only(tmp_path):
    path = tmp_path / "small.mp4"
    child = subprocess.run([sys.executable, "-c", SMALL_DISK, str(path)], capture_output=True, text=True)
    assert child.returncode == 0, child.stderr
    error, closed = child.stdout.splitlines()
    assert error == f"{path}: can't be written: file too large"
    assert closed.startswith("closed True after ")
    assert count_until_damage(path) >= 2


def test_device_without_room():
    recorder = Recorder("/dev/full")

    def fill():
        for number in range(100):
            recorder.write(picture(), number * 40 * MS)

    with pytest.raises(RecorderError, match="/dev/full: can't be written: no space left on device"):
        fill()
    assert recorder.closed
    recorder.write(picture(), 0)
    recorder.close()


def test_an_end_that_finds_no_room_is_an_error(small_disk):
    (small_disk / "filler").write_bytes(bytes(98_000))
    recorder = Recorder(small_disk / "a.mp4")
    noise = np.random.default_rng(0).integers(0, 256, (96, 96, 3), np.uint8)
    recorder.write(noise, 0)
    with pytest.raises(RecorderError, match=r"a\.mp4: is incomplete: its end is missing; is the disk full\?"):
        recorder.close()
    assert recorder.closed


def test_a_file_knows_that_it_was_recorded_under_its_name_and_finished(tmp_path):
    name = "дверь 1 [手]" + "x" * 60
    film = tmp_path / f"{name}.mp4"
    with Recorder(film) as recorder:
        recorder.write(picture(64, 48), 0)
        assert not was_finished(film)
    assert was_recorded(film)
    assert was_finished(film)
    copy = shutil.copy(film, tmp_path / "copy.mp4")
    assert not was_recorded(copy)
    (tmp_path / "empty.mp4").touch()
    assert not was_recorded(tmp_path / "empty.mp4")
    assert not was_finished(tmp_path / "empty.mp4")
    strange = tmp_path / os.fsdecode(b"\xff.mp4")
    strange.write_bytes(b"strange")
    assert not was_recorded(strange)
    with pytest.raises(FileNotFoundError):
        was_recorded(tmp_path / "none.mp4")


@pytest.mark.parametrize("name", ["file/a.mp4", "", "𠮷" * 64 + ".mp4"])
def test_a_place_that_cannot_be_written_is_one_readable_line(tmp_path, name):
    (tmp_path / "file").write_text("")
    with pytest.raises(RecorderError) as error:
        Recorder(tmp_path / name).write(picture(), 0)
    assert str(tmp_path) in str(error.value)
    assert "\n" not in str(error.value)
