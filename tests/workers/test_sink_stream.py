"""One stream in the sink: what is shown with which prediction, and what becomes of all other frames."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from pipeline.account.stats import WorkerStats
from pipeline.base.clock import now_ns
from pipeline.base.config import load_config
from pipeline.base.frame import FrameId, Image
from pipeline.flow.age_limit import AgeLimit
from pipeline.flow.joiner import Joined
from pipeline.scene.motion_grid import MotionGrid
from pipeline.wire.arrivals import ReceivedFrame, ReceivedPrediction
from pipeline.wire.messages import EndOfStream, PastFrame
from pipeline.wire.motion_maps import MotionMaps
from tests.wire.peers import bad_picture, end
from tests.workers.arriving import MS, answer, received
from workers.sink_stream import SinkStream


@pytest.fixture
def stream() -> SinkStream:
    config = load_config(None, ["sink.ring_frames=4"])
    return SinkStream(
        "door", config, AgeLimit(2000.0), WorkerStats("sink", "sink", 1, "host", 1), None, [].append
    )


def now(seq: int, age_ms: float = 0.0, **changes: Any) -> ReceivedFrame:
    """A frame that was captured so long ago and arrives now."""
    now_ms = now_ns() / MS
    return received(seq, now_ms - age_ms, received_ms=now_ms, **changes)


def shown(stream: SinkStream) -> list[Joined[ReceivedPrediction]]:
    return list(stream.pop_ready())


def drawn(stream: SinkStream, joined: Joined[ReceivedPrediction]) -> Image:
    return stream.draw(joined, stream.shown(joined, 1.0))


def test_frames_wait_for_their_own_predictions(stream: SinkStream) -> None:
    for seq in range(3):
        stream.take_frame(now(seq))
    assert shown(stream) == []
    for seq in (0, 2):  # inference has let frame 1 go
        stream.take_prediction(answer(seq, policy="every"))
    assert [(one.frame.id.seq, one.outcome) for one in shown(stream)] == [
        (0, "predicted"),
        (1, "skipped"),
        (2, "predicted"),
    ]


def test_a_frame_without_room_what_never_came_and_what_still_waits_is_counted(stream: SinkStream) -> None:
    for seq in (0, 1, 2, 5, 6):
        stream.take_frame(now(seq))
    stream.discard()
    assert stream.stats.dropped == {"sink.overflow": 1, "wire.lost": 2, "sink.stopped": 4}


def test_frames_of_a_camera_that_are_too_old_are_counted_and_never_shown(stream: SinkStream) -> None:
    stream.take_frame(now(0, policy="newest"))  # the clock of capture is known from this one
    stream.take_frame(now(1, age_ms=1500, policy="newest"))
    stream.take_frame(now(2, age_ms=2500, policy="newest"))
    assert len(stream) == 2
    assert stream.stats.dropped == {"sink.too_old": 1}


def test_a_stream_is_finished_once_all_of_it_was_shown(stream: SinkStream) -> None:
    stream.take_frame(now(0))
    stream.take_end(end(1))
    assert not stream.finished
    stream.take_prediction(EndOfStream(stream_id="door", session=1, epoch=0, seq=1, policy="every"))
    assert [one.outcome for one in shown(stream)] == ["skipped"]
    assert stream.finished


@pytest.mark.parametrize(("epoch", "stays"), [(0, True), (1, False)])
def test_the_last_prediction_stays_in_view_until_the_source_is_opened_again(
    stream: SinkStream, epoch: int, stays: bool
) -> None:
    image = np.full((240, 320, 3), 90, np.uint8)
    late = Joined(now(1, image=image, id=FrameId("door", 1, epoch, 1)).decode(), None, "timeout")
    alone = drawn(stream, late)
    drawn(stream, Joined(now(0, image=image).decode(), answer(0), "predicted"))
    assert np.array_equal(drawn(stream, late), alone) != stays


def test_the_motion_of_the_picture_is_logged_four_times_a_second() -> None:
    log: list[Any] = []
    stream = SinkStream(
        "door", load_config(), AgeLimit(2000.0), WorkerStats("sink", "sink", 1, "host", 1), None, [].append,
        lambda _, part: log.append(part),
    )  # fmt: skip
    maps = MotionMaps(np.full((2, 2, 36, 48), 9.6, np.float16), np.zeros((36, 48), np.uint8))
    two = [PastFrame(0, 0, 200.0), PastFrame(0, 1, 100.0)]
    for seq in range(50):
        past = two[2 - min(seq, 2) :]
        one = answer(seq, capture_ns=seq * 40 * MS, past=past, policy="every")
        stream.take_prediction(replace(one, motion_maps=maps))
    grids = [part for part in log if isinstance(part, MotionGrid)]
    assert [grid.wall_ns // MS for grid in grids] == [280, 560, 840, 1120, 1400, 1680, 1960]
    assert set(np.frombuffer(grids[0].cells, np.int8).tolist()) == {-32}


def test_a_bad_picture_is_shown_at_once_under_a_banner_and_told(stream: SinkStream) -> None:
    image = np.full((240, 320, 3), 90, np.uint8)
    for seq in range(3):
        stream.take_frame(now(seq, image=image))
    stream.take_prediction(answer(0, policy="every", capture_ns=1000))
    stream.take_prediction(bad_picture(1, "every", capture_ns=3 * 10**9, for_s=1.6))
    predicted, bad = shown(stream)
    assert (predicted.outcome, bad.outcome) == ("predicted", "skipped")
    assert stream.trouble(predicted.frame) is None
    assert stream.trouble(bad.frame) == "camera covered for 2 s"
    banner = drawn(stream, bad)[120, :, 2]
    assert (banner > 180).all(), "red from one side to the other"
    assert stream.stats.events == {"covered": 1}
    stream.take_prediction(answer(2, policy="every", capture_ns=5 * 10**9))
    assert stream.stats.events == {"covered": 1}
