"""One stream in inference: which frame has its turn, what of the past it may look at, and what is counted."""

from pathlib import Path

import numpy as np
import pytest

from pipeline.account.stats import WorkerStats
from pipeline.base.config import load_config
from pipeline.base.frame import FrameId
from pipeline.base.moving_thing import Mover, Thing
from pipeline.flow.age_limit import AgeLimit
from pipeline.flow.unchanged import KeptBytes
from pipeline.runtime.step import Memory, Result
from pipeline.wire import decoding
from pipeline.wire.publisher import Publisher
from pipeline.wire.security import SecurityPolicy
from tests.wire.peers import bad_picture, end
from tests.workers.arriving import MS, received
from workers.hand_over import HandedPlace, HandedStream
from workers.inference_scene import Scene
from workers.inference_stream import InferenceStream
from workers.standby import Standby
from workers.turn import Turn

RESULT = Result(np.ones(1, np.float32), None, 0, (1, 1))


@pytest.fixture
def events() -> list[str]:
    return []


@pytest.fixture
def stream(events: list[str]) -> InferenceStream:
    config = load_config(None, ["history.spacing_ms=0", "inference.ring_frames=3"])
    worker = WorkerStats("inference", "inference", 1, "host", 1)
    return InferenceStream("door", config, 2, AgeLimit(2000.0), worker, events.append, KeptBytes(2**20))


def turn(stream: InferenceStream, now_ms: float = 0.0) -> Turn:
    found = stream.next(int(now_ms * MS))
    assert found is not None
    return found


def play(stream: InferenceStream, *frames: tuple[int, float]) -> Turn:
    """Predicts and remembers frames, given as ``seq`` and time in ms; returns the last one's turn."""
    for seq, at_ms in frames:
        stream.take(received(seq, at_ms))
        last = turn(stream)
        stream.remember(last, RESULT, Memory(f"entry {seq}", "features"), 1)
    return last


def test_a_frame_looks_at_the_two_before_it_oldest_first(stream: InferenceStream) -> None:
    last = play(stream, (0, 0), (1, 40), (2, 80))
    assert (last.entries, last.reset) == (["entry 0", "entry 1"], None)
    assert stream.stats.resets == {}


@pytest.mark.parametrize(
    ("at_ms", "reason"), [(1040, None), (1041, "gap"), (40, "time_jump"), (39, "time_jump")]
)
def test_a_gap_or_a_jump_in_time_empties_the_cache(
    stream: InferenceStream, at_ms: float, reason: str | None
) -> None:
    last = play(stream, (0, 0), (1, 40), (2, at_ms))
    assert last.reset == reason
    assert last.entries == (["entry 0", "entry 1"] if reason is None else [None, None])
    assert stream.stats.resets == ({reason: 1} if reason else {})


def test_a_stream_that_always_has_gaps_reports_them_once_a_minute(
    stream: InferenceStream, events: list[str]
) -> None:
    for seq in range(50):
        stream.take(received(seq, seq * 2000))
        turn(stream, now_ms=seq * 2000)
    assert stream.stats.resets == {"gap": 49}
    assert [event.partition("cache reset: ")[2] for event in events] == [
        "gap)",
        "gap) (29 more since the last report)",
    ]


def test_the_reset_of_a_frame_that_was_let_go_holds_for_the_next_one(stream: InferenceStream) -> None:
    play(stream, (0, 0), (1, 40))
    again = FrameId("door", 1, 1, 2)  # the source was opened again
    for seq, frame_id in ((2, again), (3, FrameId("door", 1, 1, 3))):
        stream.take(received(seq, 80 + seq, policy="newest", id=frame_id))
    last = turn(stream, 90)
    assert (last.frame.id.seq, last.reset, last.entries) == (3, "reconnect", [None, None])


def test_of_a_camera_the_newest_frame_has_its_turn_and_all_others_are_counted(
    stream: InferenceStream,
) -> None:
    for seq in range(5):
        stream.take(received(seq, 10 * seq, policy="newest"))
    assert turn(stream, 50).frame.id.seq == 4
    assert (stream.stats.received, stream.stats.not_predicted) == (5, {"inference.overflow": 4})
    assert not stream.is_ready


def test_of_a_film_every_frame_has_its_turn_and_there_is_no_room_beyond_the_ring(
    stream: InferenceStream,
) -> None:
    for seq in range(3):
        stream.take(received(seq, 10 * seq))
    assert stream.room == 0
    assert [turn(stream).frame.id.seq for _ in range(3)] == [0, 1, 2]
    assert stream.stats.not_predicted == {}


def test_a_frame_that_is_too_old_is_counted_and_its_age_reported(stream: InferenceStream) -> None:
    stream.take(received(0, 1, policy="newest"))
    assert stream.next(3000 * MS) is None
    assert stream.stats.not_predicted == {"inference.too_old": 1}
    feedback = stream.pop_feedback(3000 * MS)
    assert feedback is not None
    assert feedback.age_ms == 2999


def test_what_never_came_and_what_still_waits_at_the_end_is_counted(stream: InferenceStream) -> None:
    stream.take(received(0, 0))
    stream.take(received(5, 50))
    stream.discard()
    assert stream.stats.not_predicted == {"wire.lost": 4, "inference.stopped": 2}


def test_a_bad_picture_is_neither_predicted_nor_remembered(stream: InferenceStream) -> None:
    black, grey = np.zeros((8, 8, 3), np.uint8), np.full((8, 8, 3), 90, np.uint8)
    bad = []
    for seq in range(100):
        stream.take(received(seq, 40 * seq, image=black if seq < 60 else grey))
        found = stream.next(0)
        if found is None:
            bad.append(seq)
            assert stream.outbox is not None
            assert decoding.decode_message(stream.outbox, 1 << 20) == bad_picture(
                seq,
                "every",
                capture_ns=40 * seq * MS,
                state="dark",
                for_s=40 * seq / 1000,
                ok_for_s=max(40 * (seq - 60), 0) / 1000,
                why={"level": 0.0 if seq < 60 else 90.0, "sharp": 0.0},
            )
            stream.outbox = None  # it was sent
        else:
            stream.remember(found, RESULT, Memory(f"entry {seq}", "features"), 1)
            if seq == 85:
                assert (found.entries, found.reset) == ([None, None], "gap")
    assert bad == list(range(50, 85)), "2 s to believe it, 1 s to believe that it is over"
    assert stream.stats.not_predicted == {"inference.bad_picture": 35}
    assert stream.stats.picture == "ok"


def test_health_is_judged_only_where_it_is_wanted() -> None:
    config = load_config(None, ["inference.health=false"])
    worker = WorkerStats("inference", "inference", 1, "host", 1)
    stream = InferenceStream("door", config, 2, AgeLimit(2000.0), worker, print, KeptBytes(2**20))
    for seq in range(100):
        stream.take(received(seq, 40 * seq, image=np.zeros((8, 8, 3), np.uint8)))
        turn(stream)
    assert stream.stats.health_us == {}


def test_an_unchanged_picture_is_known_and_passes_no_backbone(stream: InferenceStream) -> None:
    stream.take(received(0, 0))
    first = turn(stream)
    memory = Memory("entry", "features")
    stream.remember(first, RESULT, memory, 1)
    stream.take(received(1, 40, image=np.array(first.frame.image)))
    again = turn(stream)
    assert again.known is memory
    stream.remember(again, RESULT, memory, 0)
    assert (stream.stats.backbone_passes, stream.stats.reused) == (1, 1)
    stream.take(received(2, 80))
    assert turn(stream).known is None


def test_an_answer_is_given_again_once_nothing_of_what_it_came_from_is_new(stream: InferenceStream) -> None:
    stream.take(received(0, 0))
    first = turn(stream)
    memory, other = Memory("entry", "features"), Memory("other", "features")
    stream.remember(first, RESULT, memory, 1)
    again = []
    picture = np.array(first.frame.image)
    for seq, shown in enumerate([picture] * 5 + [255 - picture, picture], start=1):
        stream.take(received(seq, 100 * seq, image=shown))
        now = turn(stream)
        again.append(stream.find_result(now) is RESULT)
        stream.remember(now, RESULT, now.known or other, 0)
    # the first two have other past frames than the one before; at last a new picture comes, and the old one
    assert again == [False, False, True, True, True, False, False]


def test_only_a_frame_whose_past_has_the_same_label_is_scored(stream: InferenceStream) -> None:
    scored = []
    for seq, truth in enumerate(["pan", "pan", "pan", "roll", "roll", "roll"]):
        stream.take(received(seq, 40 * seq, truth=truth))
        found = turn(stream)
        stream.count(found, "pan", Scene(), 1, 2)
        stream.remember(found, RESULT, Memory(f"entry {seq}", None), 1)
        scored.append(found.scored)
    assert scored == [False, False, True, False, False, True]
    assert (stream.stats.predicted, stream.stats.labelled, stream.stats.correct) == (6, 2, 1)
    assert stream.stats.depth == {"0": 1, "1": 1, "2": 4}


def test_things_are_judged_where_the_past_is_of_the_same_motion_and_movers_are_known(
    stream: InferenceStream,
) -> None:
    box = (0.2, 0.2, 0.3, 0.3)
    known = Mover(box=box, speed=0.2, direction_deg=350.0)
    found = Thing(id=2, box=box, outline=[], speed=0.2, direction_deg=10.0, age_ms=99.0, score=1.0)
    for seq, movers in enumerate([[known], [known], [known], None, [known], []]):
        stream.take(received(seq, 40 * seq, truth="pan", movers=movers))
        now = turn(stream)
        stream.count(now, "pan", Scene([] if seq == 4 else [found]), 1, 2)
        stream.remember(now, RESULT, Memory(f"entry {seq}", None), 1)
    things = stream.stats.things
    assert (things.seen, things.judged, things.movers, things.found) == (2, 2, 2, 1)
    assert things.direction_errors.percentile(50) == pytest.approx(20, rel=0.03)


def test_a_stream_that_has_ended_keeps_no_picture(stream: InferenceStream, place: Path) -> None:
    image = np.array(play(stream, (0, 0), (1, 40)).frame.image)
    stream.take_end(end(2))
    config = load_config()
    with Publisher(f"ipc://{place}/predictions", config.wire, SecurityPolicy(config.security)) as publisher:
        stream.flush(publisher)
    assert stream.stats.state == "ended"
    stream.take(received(2, 80, image=image))
    assert turn(stream).known is None


def test_frames_that_the_former_owner_has_dealt_with_are_left_out_also_when_they_come_late(
    stream: InferenceStream,
) -> None:
    waits = Standby(1, 3, 0)
    for seq in (1, 2):
        waits.take(received(seq, 40.0 * seq, policy="every"))
    place = HandedPlace(FrameId("door", 1, 0, 4), 0, (8, 8), (8, 8))
    nothing = {"time_ns": None, "frames": [], "intervals": []}
    stream.begin(waits, HandedStream(place=place, scene=stream._scene.state(), gate=None, **nothing))
    assert not stream.is_ready
    for seq in (3, 4, 5):
        stream.take(received(seq, 40.0 * seq, policy="every"))
    assert turn(stream).frame.id.seq == 5
    assert (stream.is_ready, stream.stats.received) == (False, 1)
    assert not any(stream.stats.not_predicted.values())
