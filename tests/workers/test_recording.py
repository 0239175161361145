"""The files of one recorded stream: segments that add up, on a disk that may be full."""

from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.view.samples import MS, picture
from tests.view.test_recorder import decode
from tests.workers.films import count, pictures_that_grow
from tests.workers.pipeline import Pipeline
from workers.recording import Recording, unlist
from workers.recording_shelf import RecordingShelf

WALL_NS = 1_795_988_400_000 * MS
"""2026-11-29T21:40:00Z"""
NOISE = np.random.default_rng(0).integers(0, 256, (96, 96, 3), np.uint8)


class Recorded:
    """A stream that is recorded, 25 pictures a second, and what was told of it."""

    def __init__(self, recording: Recording, details: dict[str, Any], told: list[str], lost: dict[str, str]):
        self.recording, self.details, self.told, self.lost = recording, details, told, lost
        self.number = 0

    def write(self, frames: int, image: Any = None) -> None:
        for _ in range(frames):
            time_ns = self.number * 40 * MS
            shown = picture(64, 48, self.number % 200) if image is None else np.roll(image, self.number, 1)
            self.recording.write(shown, 7 * MS + time_ns, WALL_NS + time_ns)
            self.number += 1

    @property
    def videos(self) -> list[Path]:
        return [Path(path) for path in self.details.get("videos", {})]

    @property
    def names(self) -> list[str]:
        return [path.name for path in self.videos]


@contextmanager
def recorded(place: Path, segment_s: float = 1, max_mb: float = 100, **more: bool) -> Iterator[Recorded]:
    details: dict[str, Any] = {}
    told: list[str] = []
    lost: dict[str, str] = {}

    removed = partial(unlist, details, None)
    with RecordingShelf(place / "2026-11-29_21-40-00", 30, max_mb, removed) as shelf:
        recording = Recording(
            "front", segment_s, shelf, details, told.append, lost.__setitem__, **{"is_first": True, **more}
        )
        yield Recorded(recording, details, told, lost)
        recording.close()
        recording.close()


def test_segments_add_up_to_all_frames_and_each_plays_alone(place: Path) -> None:
    with recorded(place) as stream:
        stream.write(110)
    times = [f"front_2026-11-29T21-40-0{second}Z.mp4" for second in (1, 2, 3, 4)]
    assert stream.names == ["front.mp4", *times]
    assert stream.names == sorted(stream.names), "they sort by time"
    assert stream.details["video"] == {"front": str(stream.videos[-1])}
    films = [decode(path) for path in stream.videos]
    assert [len(film) for film in films] == [25, 25, 25, 25, 10]
    assert all(film[0].key_frame and film[0].time == 0 for film in films)
    assert stream.told == [f"front: recording {path}" for path in stream.videos]
    assert stream.lost == {}


def test_a_short_film_is_one_file_and_so_is_one_without_segments(place: Path) -> None:
    with recorded(place / "a", 600) as short, recorded(place / "b", 0) as endless:
        short.write(60)
        endless.write(60)
    assert short.names == endless.names == ["front.mp4"]
    assert len(decode(endless.videos[0])) == 60


def test_a_process_that_is_not_the_first_begins_with_the_time(place: Path) -> None:
    with recorded(place, is_first=False) as stream:
        stream.write(1)
    assert stream.names == ["front_2026-11-29T21-40-00Z.mp4"]


def test_a_camera_that_changes_its_size_loses_no_picture(place: Path) -> None:
    with recorded(place) as stream:
        for size in ((64, 48), (96, 48), (64, 48), (64, 64)):
            stream.write(15, picture(*size))
    assert stream.names == [
        "front.mp4",
        "front.part2.mp4",
        "front_2026-11-29T21-40-01Z.mp4",
        "front_2026-11-29T21-40-01Z.part2.mp4",
        "front_2026-11-29T21-40-01Z.part3.mp4",
        "front_2026-11-29T21-40-02Z.mp4",
    ]
    assert [len(decode(path)) for path in stream.videos] == [15, 10, 5, 15, 5, 10]


def test_a_clock_that_leaps_begins_a_segment_and_a_small_step_back_none(place: Path) -> None:
    with recorded(place, 10) as stream:
        for time_s in (100.0, 105.0, 99.0, 109.0, 20.0, 21.0):
            stream.recording.write(picture(64, 48), int(time_s * 1e9), WALL_NS + int(time_s * 1e9))
    assert [len(decode(path)) for path in stream.videos] == [4, 2]


def test_the_oldest_segments_go_where_there_would_be_too_much(place: Path) -> None:
    with recorded(place, max_mb=0.5) as stream:
        stream.write(250, NOISE)
        growing = stream.videos[-1]
        assert growing.exists()
    assert "front.mp4" not in stream.names
    assert [*sorted(growing.parent.iterdir())] == stream.videos, "what is gone is not listed"
    assert 2 < len(stream.videos) < 10
    assert sum(path.stat().st_blocks * 512 for path in stream.videos) <= 2**19


def test_on_a_full_disk_the_oldest_segments_go_and_nothing_is_lost(small_disk: Path) -> None:
    with recorded(small_disk) as stream:
        stream.write(60 * 25)
    assert stream.lost == {}
    assert "front.mp4" not in stream.names
    assert len(stream.told) == 60
    assert len(stream.videos) > 5
    assert all(len(decode(path)) == 25 for path in stream.videos)


def test_a_recording_that_finds_no_room_goes_on_once_there_is_some(small_disk: Path) -> None:
    filler = small_disk / "filler"
    filler.write_bytes(bytes(98_000))
    with recorded(small_disk) as stream:
        stream.write(50, NOISE)
        (said,) = [line for line in stream.told if "stopped" in line]
        assert said.endswith("front.mp4: is incomplete: its end is missing; is the disk full?")
        assert list(stream.lost) == [str(small_disk / "2026-11-29_21-40-00" / "front.mp4")]
        assert [*small_disk.rglob("*.mp4")] == stream.videos == [], "what does not play is not kept"
        stream.write(300, NOISE)
        assert len([line for line in stream.told if "stopped" in line]) == 1, "no room, no try"
        filler.unlink()
        stream.write(10)
    assert [len(decode(path)) for path in stream.videos] == [10]


def test_what_was_written_before_the_disk_was_full_plays_to_its_end(small_disk: Path) -> None:
    with recorded(small_disk, 600) as stream:
        while not stream.lost:
            stream.write(1, NOISE)
        (video,) = stream.videos
        frames = len(decode(video))
        assert frames % 25 == 0 < frames
        stream.write(251)
    assert len(stream.videos) == 1, "to go on, the oldest has gone"
    assert video not in stream.videos
    assert len(decode(stream.videos[0])) > 1


def test_a_folder_that_cannot_be_made_again_is_tried_seldom(place: Path) -> None:
    with recorded(place) as stream:
        stream.recording._shelf.folder.write_text("in the way")
        stream.write(25 * 100)
        tries = [line for line in stream.told if "stopped" in line]
        assert len(tries) == 4  # after 0, 10, 30 and 70 s
        stream.recording._shelf.folder.unlink()
        stream.write(25 * 60)
    assert sum(len(decode(path)) for path in stream.videos) == 25 * 10


SEGMENTS = ("--set", "sink.record_segment_s=1")


def files_of(run: Pipeline) -> set[str]:
    return {str(path) for path in (run.folder / "videos").glob("*/*.mp4")}


@pytest.mark.slow
def test_segments_of_a_run_hold_every_frame_that_was_shown(place: Path) -> None:
    """Of a film and of a camera that changes its size."""
    grows = pictures_that_grow(place / "grows", frames=60, grow_at=40)
    with Pipeline(place, "--source", "demo", "--source", str(grows), "--frames", "60", *SEGMENTS) as run:
        outcome = run.finish()
    assert outcome.code == 0, outcome.told()
    videos = outcome.report["videos"]
    assert {name: [count(Path(path)) for path in paths] for name, paths in videos.items()} == {
        "demo": [25, 25, 10],
        "grows": [25, 15, 10, 10],
    }
    assert {path for paths in videos.values() for path in paths} == files_of(run)
    for name in ("demo", "grows"):
        assert (outcome.stream(name)["rendered"], outcome.stream(name)["unaccounted"]) == (60, 0)


@pytest.mark.slow
def test_segments_of_a_sink_that_was_killed_all_play_and_lose_a_second_at_most(place: Path) -> None:
    frames = 120
    with Pipeline(place, "--frames", str(frames), *SEGMENTS, "--set", "run.restart_backoff_s=[0.2]") as run:
        run.wait_for_rendered("demo", 40)
        run.kill("sink")
        outcome = run.finish()
    assert outcome.code == 0, outcome.told()
    stream = outcome.stream("demo")
    assert stream["unaccounted"] == 0
    videos = outcome.report["videos"]["demo"]
    assert {*videos} == files_of(run)
    counts = [count(Path(path)) for path in videos]
    assert counts[0] == 25, "its first segment was finished"
    shown = stream["captured"] - stream["dropped"].get("sink.killed", 0)
    assert shown - 25 <= sum(counts) <= stream["captured"]
