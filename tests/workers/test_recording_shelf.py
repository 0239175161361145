"""Recordings of all runs on disk: whole, bounded, and nobody else's files."""

import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from pipeline.view.recorder import Recorder, was_finished
from tests.video.clips import write_video
from tests.view.samples import MS, picture
from tests.view.test_recorder import decode, killed_recording
from workers.base import WorkerError
from workers.recording import Recording
from workers.recording_shelf import RecordingShelf

DAY_S = 86_400
NOTHING = 1e-9
"""A size or a time that keeps nothing."""
RUN = "2026-11-28_10-00-0"

GROWING = """
import sys, time
from pathlib import Path
from tests.view.samples import MS, picture
from workers.recording import Recording
from workers.recording_shelf import RecordingShelf
shelf = RecordingShelf(Path(sys.argv[1]), 30, 100, print)
recording = Recording("cam", 2, shelf, {}, print, print, is_first=True)
for number in range(140):
    recording.write(picture(64, 48, number), number * 40 * MS, 1_790_000_000_000 * MS + number * 40 * MS)
print("written", flush=True)
time.sleep(60)
"""


def recorded(path: Path, days_ago: float = 0.0, frames: int = 3) -> Path:
    with Recorder(path) as recorder:
        for number in range(frames):
            recorder.write(picture(64, 48, number), number * 40 * MS)
    aged(path, days_ago)
    return path


def aged(path: Path, days_ago: float) -> None:
    then = path.stat().st_mtime - days_ago * DAY_S
    os.utime(path, (then, then))


def used(path: Path) -> int:
    return path.stat().st_blocks * 512


@contextmanager
def shelf(place: Path, keep_days: float = 7, max_mb: float = 1) -> Iterator[tuple[RecordingShelf, list[str]]]:
    removed: list[str] = []
    with RecordingShelf(place / "2026-11-29_10-00-00", keep_days, max_mb, removed.append) as opened:
        yield opened, removed


@contextmanager
def another_run(place: Path) -> Iterator[tuple[subprocess.Popen[str], Path]]:
    """One that has recorded two whole segments, and is in the middle of a third."""
    folder = place / f"{RUN}5"
    with subprocess.Popen(
        [sys.executable, "-c", GROWING, str(folder)], stdout=subprocess.PIPE, text=True
    ) as child:
        assert child.stdout is not None
        try:
            while child.stdout.readline() not in ("written\n", ""):
                pass
            yield child, folder
        finally:
            child.kill()


def test_recordings_of_earlier_runs_go_by_age_and_size(place: Path) -> None:
    ages = {1: 8.0, 2: 3.0, 3: 2.0, 4: 1.0}
    files = {n: recorded(place / f"{RUN}{n}" / "cam.mp4", days_ago) for n, days_ago in ages.items()}
    used = sum(files[n].stat().st_blocks * 512 for n in (3, 4))
    with shelf(place, max_mb=used / 2**20) as (opened, removed):
        opened.check()
    assert removed == [str(files[n]) for n in (1, 2)]
    assert [files[n].exists() for n in (1, 2, 3, 4)] == [False, False, True, True]
    assert not files[1].parent.exists(), "a folder of which nothing is left"


def test_size_is_bounded_over_runs_and_restarts_whatever_segments_are_called(place: Path) -> None:
    """The first file of a run has a plain name, later ones a time, those of another size a part."""
    second, sides = 25, ((64, 48), (96, 64))
    start_ms, most = 1_790_000_000_000, 0
    made: list[str] = []
    for run, is_first in ((f"{RUN}1", True), (f"{RUN}1", False), (f"{RUN}2", True), (f"{RUN}3", True)):
        with RecordingShelf(place / run, 7, (most or DAY_S) / 2**20, lambda _: None) as opened:
            recording = Recording(
                "cam", 2, opened, {}, made.append, lambda *told: pytest.fail(str(told)), is_first=is_first
            )
            for n in range(5 * second):
                at_ns = n * 40 * MS
                recording.write(picture(*sides[n > 3 * second], n), at_ns, start_ms * MS + at_ns)
            recording.close()
            most = most or sum(used(path) for path in place.glob("*/*.mp4"))
        start_ms += 10_000
        left = sorted(place.glob("*/*.mp4"), key=lambda path: path.stat().st_mtime_ns)
        assert sum(map(used, left)) <= most, "of one run"
        paths = [text.partition(": recording ")[2] for text in made]
        assert [str(path) for path in left] == paths[-len(left) :], "the newest"
    assert {path.parent.name for path in left} == {f"{RUN}3"}
    assert any(".part2" in path.name for path in left)
    assert not (place / f"{RUN}1").exists()


def test_a_file_of_somebody_else_is_never_removed(place: Path) -> None:
    ours = recorded(place / f"{RUN}1" / "cam.mp4", 9)
    folder, other = ours.parent, place / "holiday"
    other.mkdir()
    theirs = [
        write_video(folder / "film.mp4"),
        shutil.copy(ours, folder / "the thief.mp4"),
        shutil.copy(ours, other / "cam.mp4"),
        shutil.copy(ours, place / "cam.mp4"),
        folder / "notes.mp4",
        folder / "link.mp4",
    ]
    theirs[4].write_text("not a film")
    (folder / "empty.mp4").touch()
    theirs[5].symlink_to(other / "cam.mp4")
    (place / f"{RUN}2").symlink_to(other)
    for path in theirs:
        aged(path, 9)
    with shelf(place, keep_days=NOTHING, max_mb=NOTHING) as (opened, removed):
        opened.check()
    assert removed == [str(ours)]
    assert all(path.exists() for path in [*theirs, folder / "empty.mp4"])


def test_what_a_killed_process_left_is_whole_afterwards_and_as_old_as_before(place: Path) -> None:
    with another_run(place) as (child, folder):
        child.send_signal(signal.SIGKILL)
        child.wait()
    newest = max(folder.iterdir())
    with newest.open("ab") as file:
        file.write(b"\0\0\x40\0moof")  # half a fragment
    aged(newest, 3)
    assert [was_finished(path) for path in sorted(folder.iterdir())] == [True, True, False]
    data, times = newest.read_bytes(), newest.stat()
    with shelf(place) as (opened, removed):
        opened.check()
    assert removed == []
    assert newest.read_bytes() == data[:-8]
    assert newest.stat().st_mtime_ns == times.st_mtime_ns
    assert [len(decode(path)) for path in sorted(folder.iterdir())] == [50, 50, 25]


def test_a_killed_recording_of_which_nothing_plays_is_removed(place: Path) -> None:
    whole = killed_recording(place / "film.mp4").read_bytes()
    (place / f"{RUN}1").mkdir()
    film = place / f"{RUN}1" / "film.mp4"
    film.write_bytes(whole[: whole.index(b"moof") + 100])
    with shelf(place):
        assert not film.parent.exists()


def test_what_another_process_writes_is_left_alone(place: Path) -> None:
    with another_run(place) as (child, folder):
        first, second, third = sorted(folder.iterdir())
        data = third.read_bytes()
        with shelf(place, keep_days=NOTHING, max_mb=NOTHING) as (opened, removed):
            opened.check()
        assert removed == [str(first), str(second)]
        assert third.read_bytes() == data
        child.kill()
        child.wait()
        with shelf(place, keep_days=NOTHING, max_mb=NOTHING) as (opened, _):
            opened.check()
        assert not folder.exists(), "its lock has died with it"


def test_what_grows_stays_until_it_has_ended(place: Path) -> None:
    with shelf(place, max_mb=NOTHING) as (opened, removed):
        film = recorded(opened.folder / "cam.mp4")
        opened.begin(film)
        opened.check()
        assert film.exists()
        opened.end(film)
        assert removed == [str(film)]
        opened.end(film)  # somebody has removed it
    opened.close()


def test_a_nearly_full_disk_costs_the_oldest_recording(small_disk: Path) -> None:
    old = recorded(small_disk / f"{RUN}1" / "cam.mp4", 1)
    recorded(small_disk / f"{RUN}2" / "cam.mp4")
    with shelf(small_disk) as (opened, removed):
        assert opened.make_room()
        assert removed == []
        free = os.statvfs(small_disk).f_bavail * 4096
        (small_disk / "filler").write_bytes(bytes(free - 10_000))  # a tenth of the disk is left for others
        assert opened.make_room()
        assert removed == [str(old)]
        (small_disk / "more").write_bytes(bytes(8192))
        assert not opened.make_room()
        assert len(removed) == 2


def test_a_place_that_cannot_be_written_is_refused() -> None:
    with pytest.raises(WorkerError, match=r"can't write videos there.*run\.output_dir"):
        RecordingShelf(Path("/proc/videos"), 7, 1, print)
