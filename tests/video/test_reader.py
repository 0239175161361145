"""The reader with scripted sources: sequences of events that no real camera produces on demand."""

import random
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from threading import Event
from typing import Any

import cv2
import numpy as np
import pytest

from pipeline.base.backoff import Backoff
from pipeline.base.clock import now_ns
from pipeline.video.demo import DemoSource
from pipeline.video.open import open_source
from pipeline.video.reader import Captured, Reader
from pipeline.video.source import Picture, Source, SourceError
from tests.support import until
from tests.video.clips import options, write_video

LOST = SourceError("lost", "scripted", "gone; come back")


def shot(size: int = 4, *, damaged: bool = False) -> Picture:
    return Picture(np.zeros((size, size, 3), np.uint8), now_ns(), damaged=damaged)


class Scripted(Source):
    """Delivers a list of pictures; an error in it is raised, and an event waited for."""

    description = "scripted"

    def __init__(self, script: list[Picture | Exception | Event], *, live: bool) -> None:
        self.live = live
        self.closed = False
        self._script: Iterator[Picture | Exception | Event] = iter(script)

    def open(self) -> None:
        pass

    def read(self) -> Picture | None:
        item = next(self._script, None)
        if isinstance(item, Event):
            item.wait()
            return self.read()
        if isinstance(item, Exception):
            raise item
        return item

    def close(self) -> None:
        self.closed = True


def openings(*scripts: list[Any], live: bool = True) -> Callable[[], Source]:
    """A factory that hands out one scripted source for each opening; an error instead fails to open."""
    remaining = iter(scripts)
    return lambda: Scripted(next(remaining), live=live)


def reader_of(open_source: Callable[[], Source], **changes: Any) -> Reader:
    settings: dict[str, Any] = {
        "policy": "every",
        "backoff": Backoff([0.0]),
        "ring_frames": 4,
        "retry_first_open": False,
    }
    return Reader(open_source, **(settings | changes))


def run(reader: Reader) -> list[Captured]:
    """Starts a reader and takes every picture until it has finished."""
    reader.start()
    return drain(reader)


def drain(reader: Reader, pause: Callable[[], None] = lambda: None) -> list[Captured]:
    """Takes every picture until it has finished, with a pause before each."""
    taken = []
    deadline_s = time.monotonic() + 60
    while not reader.finished:
        assert time.monotonic() < deadline_s, f"never finished: {reader.state}, {len(taken)} taken"
        pause()
        if (captured := reader.take(0.5)) is not None:
            taken.append(captured)
    return taken


def check_count(reader: Reader, taken: list[Captured]) -> None:
    """Every picture has exactly one fate, and the skipped ones are reported with the next one."""
    assert reader.captured == len(taken) + sum(reader.dropped.values())
    assert [item.skipped for item in taken] == [item.seq - place for place, item in enumerate(taken)]
    assert [item.seq for item in taken] == sorted({item.seq for item in taken})


@pytest.mark.parametrize("policy", ["newest", "every"])
@pytest.mark.parametrize("seed", range(6))
def test_every_picture_has_one_fate(policy: str, seed: int) -> None:
    chance = random.Random(seed)

    def script() -> list[Picture | SourceError]:
        shots: list[Picture | SourceError] = [
            shot(chance.choice([4, 4, 4, 4, 6]), damaged=chance.random() < 0.1)
            for _ in range(chance.randrange(1, 60))
        ]
        return [*shots, LOST]

    reader = reader_of(
        openings(*(script() for _ in range(5)), [shot()]),
        policy=policy,
        ring_frames=chance.randrange(1, 5),
        max_frames=chance.choice([0, 0, 70]),
    )
    reader.start()

    def pause() -> None:
        if chance.random() < 0.2:
            time.sleep(0.002)

    taken = drain(reader, pause)
    check_count(reader, taken)
    assert reader.captured > 5
    assert not any(item.picture.damaged for item in taken)
    if policy == "every":
        assert set(reader.dropped) <= {"capture.damaged"}


@pytest.mark.parametrize("policy", ["newest", "every"])
def test_pictures_left_at_a_stop_are_counted(policy: str) -> None:
    endless = Event()
    reader = reader_of(openings([shot() for _ in range(3)] + [endless]), policy=policy, ring_frames=8)
    reader.start()
    taken = [reader.take(5.0)]
    until(lambda: reader.captured >= 3, "3 pictures are captured")
    reader.stop(0.0)
    assert reader.discard() == 2
    endless.set()
    assert reader.stop(5.0)
    assert reader.dropped == {"capture.stopped": 2}
    check_count(reader, [item for item in taken if item])


def test_a_picture_in_hand_at_a_stop_is_counted() -> None:
    reader = reader_of(openings([shot() for _ in range(9)]), ring_frames=2)
    reader.start()
    until(lambda: reader.captured >= 3, "3 pictures are captured")
    assert reader.stop(5.0)
    assert reader.dropped == {"capture.stopped": 1}
    check_count(reader, drain(reader))


def test_a_slow_caller_gets_the_newest_pictures() -> None:
    held = Event()
    reader = reader_of(openings([*(shot() for _ in range(50)), held]), policy="newest", ring_frames=2)
    reader.start()
    until(lambda: reader.captured == 50, "all are captured")
    first = reader.take(1.0)
    assert first is not None
    assert (first.seq, first.skipped) == (48, 48)
    assert reader.dropped == {"capture.overflow": 48}
    held.set()
    assert reader.stop(5.0)


def test_epochs_count_reopenings_and_changes_of_size() -> None:
    broken = SourceError("refused", "scripted", "still off")
    reader = reader_of(
        openings(
            [shot(), shot(6), shot(6, damaged=True), shot(6), LOST], [broken], [broken], [shot(), shot()]
        ),
        first_epoch=3,
    )
    taken = run(reader)
    assert [item.epoch for item in taken] == [3, 4, 4, 5, 5]
    assert [item.seq for item in taken] == [0, 1, 3, 4, 5]
    events = reader.pop_events()
    assert [event.split(":")[0] for event in events] == ["up", "new size", "down", "down", "down", "up"]
    assert "6x6, was 4x4" in events[1]
    assert reader.pop_events() == []
    assert (reader.state, reader.error) == ("ended", None)


def test_the_next_reader_of_a_stream_goes_on_counting() -> None:
    before = reader_of(openings([shot(), shot(damaged=True), shot()]), max_frames=2)
    taken = run(before)
    after = reader_of(openings([shot(), shot(), shot(), shot()]), max_frames=2, after=before)
    taken += run(after)
    assert [(one.epoch, one.seq, one.skipped) for one in taken] == [(0, 0, 0), (1, 2, 1), (1, 3, 1)]
    assert (after.captured, after.dropped) == (4, {"capture.damaged": 1})


def test_waits_grow_and_start_again_after_a_picture() -> None:
    scripts = [[shot(), LOST], [LOST], [LOST], [LOST], [shot(), LOST], [shot()]]
    reader = reader_of(openings(*scripts), backoff=Backoff([0.0, 0.1, 0.2]))
    run(reader)
    waits = [event.rsplit("in ", 1)[1] for event in reader.pop_events() if event.startswith("down")]
    assert waits == ["0.0 s", "0.1 s", "0.2 s", "0.2 s", "0.0 s"]


def test_jitter_varies_each_wait() -> None:
    reader = reader_of(openings([shot(), LOST], *[[LOST]] * 8, [shot()]), backoff=Backoff([0.1], 1.0))
    run(reader)
    waits = [float(event.split()[-2]) for event in reader.pop_events() if event.startswith("down")]
    assert len(waits) == 9
    assert all(0.0 <= wait <= 0.2 for wait in waits)
    assert len(set(waits)) > 1


def test_first_opening_that_fails_is_told_to_the_caller() -> None:
    reader = reader_of(openings([LOST]))
    assert run(reader) == []
    told = f"{LOST} (--set capture.retry_first_open=true waits for it)"
    assert str(reader.error) == told
    assert reader.state == "ended"
    assert reader.pop_events() == [f"failed: {told}"]


def test_no_part_of_an_error_holds_a_password() -> None:
    error = SourceError("refused", "rtsp://user:secret@camera/x", "rtsp://user:secret@camera/x is wrong")
    assert "secret" not in f"{error} {error.source} {error.advice}"
    assert error.source == "rtsp://user:***@camera/x"


def test_first_opening_is_tried_again_if_asked() -> None:
    reader = reader_of(openings([LOST], [LOST], [shot()]), retry_first_open=True)
    assert [item.epoch for item in run(reader)] == [0]
    assert reader.error is None


def test_a_bad_url_is_never_tried_again() -> None:
    bad = SourceError("bad_url", "scripted", "mistyped")
    reader = reader_of(openings([bad], [shot()]), retry_first_open=True)
    run(reader)
    assert reader.error is bad


def test_a_file_that_fails_midway_is_given_up() -> None:
    reader = reader_of(openings([shot(), LOST], [shot()], live=False))
    assert len(run(reader)) == 1
    assert reader.error is LOST


@pytest.mark.parametrize("fault", [LOST, RuntimeError("torn")])
def test_a_file_that_fails_midway_is_told_from_one_that_ends(fault: Exception) -> None:
    seen: list[tuple[str, bool]] = []

    def watched(script: list[Any]) -> Reader:
        return reader_of(openings(script, live=False), on_change=lambda: seen.append(look()))

    def look() -> tuple[str, bool]:
        return reader.state, reader.error is not None

    reader = watched([shot(), fault])
    assert len(run(reader)) == 1
    # Whoever sees "ended" can already see whether it failed.
    assert [failed for state, failed in seen if state == "ended"] == [True]
    assert str(fault) in str(reader.error)
    seen.clear()
    reader = watched([shot()])
    assert len(run(reader)) == 1
    assert [failed for state, failed in seen if state == "ended"] == [False]
    assert reader.error is None


def test_no_exception_ends_a_live_source() -> None:
    defects = [
        RuntimeError("no memory\nfor rtsp://joe:hunter2@host/x"),
        ValueError("odd"),
        cv2.error("bad size"),
        UnicodeDecodeError("utf-8", b"\xff", 0, 1, "odd name"),
    ]
    scripts = [[shot(), defects[0]], *[[defect] for defect in defects[1:]], [shot()]]
    reader = reader_of(openings(*scripts), backoff=Backoff([0.0, 0.01, 0.1]))
    assert [item.epoch for item in run(reader)] == [0, 1]
    assert (reader.state, reader.error) == ("ended", None)
    down = [event for event in reader.pop_events() if event.startswith("down")]
    assert [event.rsplit("in ", 1)[1] for event in down] == ["0.0 s", "0.0 s", "0.1 s", "0.1 s"]
    for event, defect in zip(down, defects, strict=True):
        assert f"scripted: bug in this program: {type(defect).__name__}: " in event
        assert "\n" not in event
    assert "RuntimeError: no memory for rtsp://joe:***@host/x" in down[0]


def test_a_live_source_that_fails_oddly_at_first_is_told_to_the_caller() -> None:
    reader = reader_of(openings([RuntimeError("odd")], [shot()]))
    assert run(reader) == []
    assert "RuntimeError: odd" in str(reader.error)


def test_a_live_source_that_can_not_be_made_again_is_tried_again() -> None:
    sources = iter([Scripted([shot(), LOST], live=True), MemoryError("full"), Scripted([shot()], live=True)])

    def make() -> Source:
        item = next(sources)
        if isinstance(item, Exception):
            raise item
        return item

    reader = reader_of(make)
    assert [item.epoch for item in run(reader)] == [0, 1]
    assert any("MemoryError: full" in event for event in reader.pop_events())


def test_a_source_that_fails_to_open_is_closed() -> None:
    class Stubborn(Scripted):
        def open(self) -> None:
            raise LOST

    source = Stubborn([], live=True)
    run(reader_of(lambda: source))
    assert source.closed


def test_a_held_live_source_captures_nothing_before_the_release() -> None:
    early, late = Event(), Event()
    pictures = [shot(size) for size in (4, 4, 4, 6, 8)]
    reader = reader_of(openings([*pictures[:3], early, *pictures[3:], late]), held=True)
    reader.start()
    until(lambda: reader.state == "up", "it is up")
    assert reader.take(0.05) is None
    assert (reader.captured, reader.dropped) == (0, {})
    reader.release()
    early.set()
    taken = [reader.take(5.0), reader.take(5.0)]
    assert [item and (item.seq, item.skipped, item.picture.image.shape[0]) for item in taken] == [
        (0, 0, 6),
        (1, 0, 8),
    ]
    late.set()
    assert reader.stop(5.0)
    assert (reader.captured, reader.dropped) == (2, {})


@pytest.mark.parametrize("changes", [{}, {"pace": True}, {"policy": "newest"}])
def test_a_held_file_loses_nothing_and_its_wait_is_no_latency(changes: dict[str, Any]) -> None:
    reader = reader_of(openings([shot() for _ in range(4)], live=False), held=True, **changes)
    reader.start()
    until(lambda: reader.state == "up", "it is up")
    assert reader.take(0.05) is None
    assert reader.captured == 0
    released_ns = now_ns()
    reader.release()
    taken = drain(reader)
    assert [item.seq for item in taken] == [0, 1, 2, 3]
    assert taken[0].picture.capture_ns >= released_ns


@pytest.mark.parametrize("live", [True, False])
def test_a_held_reader_can_be_stopped(live: bool) -> None:
    endless = Event()
    reader = reader_of(openings([shot(), endless], live=live), held=True)
    reader.start()
    until(lambda: reader.state == "up", "it is up")
    reader.stop(0.0)
    endless.set()
    assert reader.stop(5.0)
    assert (reader.captured, reader.dropped, reader.error) == (0, {}, None)


def test_a_defect_of_a_source_is_not_hidden() -> None:
    reader = reader_of(openings())
    run(reader)
    assert reader.error is not None
    assert "StopIteration" in str(reader.error)


def test_stop_does_not_wait_for_a_source_that_hangs() -> None:
    hanging = Event()
    reader = reader_of(openings([shot(), hanging]))
    reader.start()
    assert reader.take(5.0) is not None
    assert not reader.stop(0.05)
    hanging.set()
    assert reader.stop(5.0)
    assert reader.finished


def test_stop_ends_a_wait_for_reopening() -> None:
    reader = reader_of(openings([shot(), LOST]), backoff=Backoff([600.0]))
    reader.start()
    assert reader.take(5.0) is not None
    until(lambda: reader.state == "down", "it is down")
    assert reader.stop(5.0)


def test_the_time_of_the_next_try_is_known_until_a_picture_comes() -> None:
    reader = reader_of(openings([shot(), LOST]), backoff=Backoff([600.0]))
    assert reader.retry_ns == 0
    before_ns = now_ns()
    reader.start()
    assert reader.take(5.0) is not None
    until(lambda: reader.retry_ns, "the next try has a time")
    assert before_ns + 600 * 10**9 <= reader.retry_ns <= now_ns() + 600 * 10**9
    assert reader.stop(5.0)
    assert reader.retry_ns == 0
    going_on = Event()
    again = reader_of(openings([shot(), LOST], [shot(), going_on]))
    again.start()
    assert again.take(5.0) is not None
    assert again.take(5.0) is not None
    assert (again.state, again.retry_ns) == ("up", 0)
    going_on.set()
    assert again.stop(5.0)


def test_stop_before_the_start() -> None:
    reader = reader_of(openings([shot()]))
    assert reader.stop(0.0)
    assert reader.finished


@pytest.mark.parametrize("policy", ["newest", "every"])
def test_exactly_so_many_pictures(policy: str) -> None:
    reader = reader_of(openings([shot() for _ in range(20)]), policy=policy, max_frames=7)
    taken = run(reader)
    assert reader.captured == 7
    check_count(reader, taken)


def test_a_file_loses_nothing_to_a_slow_caller(tmp_path: Path) -> None:
    clip = write_video(tmp_path / "clip.mp4", frames=40)
    reader = reader_of(lambda: open_source(str(clip), options()), ring_frames=2)
    reader.start()
    taken = drain(reader, lambda: time.sleep(0.003))
    assert [item.seq for item in taken] == list(range(40))
    assert reader.dropped == {}


@pytest.mark.parametrize("changes", [{"pace": True}, {"policy": "newest"}])
def test_a_paced_file_plays_at_its_own_rate(changes: dict[str, Any]) -> None:
    reader = reader_of(DemoSource, max_frames=15, **changes)
    taken = run(reader)
    assert len(taken) == 15 - sum(reader.dropped.values())
    times = [item.picture.capture_ns for item in taken]
    # Never early; how late depends on the machine.
    assert times[-1] - times[0] >= (taken[-1].seq - taken[0].seq) * 40_000_000 - 5_000_000


def test_the_demo_carries_its_labels_and_movers() -> None:
    taken = run(reader_of(DemoSource, max_frames=3))
    assert [item.picture.truth for item in taken] == ["static"] * 3
    assert [len(item.picture.movers or []) for item in taken] == [1] * 3
