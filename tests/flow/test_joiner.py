import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from pipeline.base.frame import Frame, FrameId, Policy
from pipeline.flow.joiner import Joined, Joiner

PIXELS = np.zeros((2, 2, 3), np.uint8)


def frame(
    seq: int, received_ns: int = 0, policy: Policy = "newest", session: int = 1, epoch: int = 0
) -> Frame:
    return Frame(FrameId("cam", session, epoch, seq), PIXELS, 0, policy=policy, received_ns=received_ns)


def ready(joiner: Joiner[str], now_ns: int = 0) -> list[tuple[int, str | None, str]]:
    taken: list[Joined[str]] = []
    while (joined := joiner.pop_ready(now_ns)) is not None:
        taken.append(joined)
    return [(joined.frame.id.seq, joined.prediction, joined.outcome) for joined in taken]


def test_frames_wait_for_their_own_prediction_in_order() -> None:
    joiner = Joiner[str](8, timeout_ns=100, patience_ns=300)
    for seq in range(3):
        joiner.add_frame(frame(seq))
    assert ready(joiner) == []
    joiner.add_prediction(frame(0).id, "a", 0)
    assert ready(joiner) == [(0, "a", "predicted")]


def test_a_prediction_may_come_before_its_frame() -> None:
    joiner = Joiner[str](8, timeout_ns=100, patience_ns=300)
    joiner.add_prediction(frame(5).id, "early", 0)
    joiner.add_frame(frame(5))
    assert ready(joiner) == [(5, "early", "predicted")]


def test_a_later_prediction_shows_that_earlier_frames_were_skipped() -> None:
    joiner = Joiner[str](8, timeout_ns=100, patience_ns=300)
    for seq in range(3):
        joiner.add_frame(frame(seq))
    joiner.add_prediction(frame(2).id, "c", 0)
    assert ready(joiner) == [(0, None, "skipped"), (1, None, "skipped"), (2, "c", "predicted")]


def test_nothing_waits_longer_than_the_timeout() -> None:
    joiner = Joiner[str](8, timeout_ns=100, patience_ns=300)
    joiner.add_frame(frame(0, received_ns=50))
    assert ready(joiner, 149) == []
    assert ready(joiner, 150) == [(0, None, "timeout")]
    joiner.add_prediction(frame(0).id, "late", 160)
    joiner.add_frame(frame(1, received_ns=160))
    assert ready(joiner, 170) == [], "a late prediction ends nobody's waiting"
    joiner.add_prediction(frame(1).id, "b", 180)
    assert ready(joiner, 180) == [(1, "b", "predicted")]


def test_every_frame_streams_wait_as_long_as_inference_makes_progress() -> None:
    joiner = Joiner[str](8, timeout_ns=100, patience_ns=300)
    for seq in range(2):
        joiner.add_frame(frame(seq, received_ns=0, policy="every"))
    joiner.add_prediction(frame(0).id, "a", 1000)
    assert ready(joiner, 1050) == [(0, "a", "predicted")]
    assert ready(joiner, 1299) == []
    assert ready(joiner, 1300) == [(1, None, "timeout")]


def test_the_end_of_predictions_ends_the_waiting_of_that_session_only() -> None:
    joiner = Joiner[str](8, timeout_ns=100, patience_ns=300)
    joiner.add_frame(frame(0, session=1))
    joiner.add_frame(frame(0, session=2))
    joiner.end_predictions(1, 0)
    assert ready(joiner) == [(0, None, "skipped")]
    assert len(joiner) == 1


def test_frames_of_a_stream_that_comes_back_after_its_end_wait_again() -> None:
    joiner = Joiner[str](8, timeout_ns=100, patience_ns=300)
    joiner.end_predictions(1, 0)
    joiner.add_frame(frame(5, epoch=1))
    assert ready(joiner) == []


def test_a_restarted_capture_worker_is_not_mixed_up_with_its_former_self() -> None:
    joiner = Joiner[str](8, timeout_ns=100, patience_ns=300)
    joiner.add_prediction(frame(0, session=1).id, "old", 0)
    joiner.add_frame(frame(0, session=2))
    joiner.add_prediction(frame(0, session=2).id, "new", 0)
    assert ready(joiner) == [(0, "new", "predicted")]


def test_sessions_have_no_order_because_a_cameras_clock_may_have_gone_back() -> None:
    joiner = Joiner[str](8, timeout_ns=100, patience_ns=300)
    joiner.add_prediction(frame(9, session=1000).id, "old", 0)
    joiner.add_frame(frame(9, session=1000))
    assert ready(joiner) == [(9, "old", "predicted")]
    for seq in range(2):
        joiner.add_frame(frame(seq, session=500))
    assert ready(joiner) == []
    for seq in range(2):
        joiner.add_prediction(frame(seq, session=500).id, "new", 0)
    assert ready(joiner) == [(0, "new", "predicted"), (1, "new", "predicted")]


@given(
    st.lists(st.tuples(st.sampled_from("fpt"), st.integers(0, 40)), max_size=200),
    st.integers(1, 6),
)
def test_every_frame_leaves_exactly_once_and_memory_is_bounded(
    actions: list[tuple[str, int]], capacity: int
) -> None:
    joiner, now_ns, added, left = Joiner[str](capacity, timeout_ns=50, patience_ns=50), 0, 0, []
    for action, number in actions:
        now_ns += number
        if action == "f":
            evicted = joiner.add_frame(frame(added, received_ns=now_ns))
            left += [evicted.id.seq] if evicted else []
            added += 1
        elif action == "p":
            joiner.add_prediction(frame(number).id, "p", now_ns)
        left += [seq for seq, _, _ in ready(joiner, now_ns)]
        assert len(joiner) <= capacity
        assert len(joiner._predictions) <= 4 * capacity
    left += [seq for seq, _, _ in ready(joiner, now_ns + 50)]
    assert left == list(range(added))


def test_a_frame_that_gets_no_prediction_is_not_waited_for_nor_are_those_before_it() -> None:
    joiner = Joiner[str](8, timeout_ns=100, patience_ns=300)
    for seq in range(3):
        joiner.add_frame(frame(seq))
    joiner.add_unpredicted(frame(1).id, 0)
    assert ready(joiner) == [(0, None, "skipped"), (1, None, "skipped")]
    joiner.add_prediction(frame(2).id, "c", 0)
    assert ready(joiner) == [(2, "c", "predicted")]


def test_frames_of_a_file_without_predictions_are_progress() -> None:
    joiner = Joiner[str](8, timeout_ns=100, patience_ns=300)
    for seq in range(2):
        joiner.add_frame(frame(seq, policy="every"))
    joiner.add_unpredicted(frame(0).id, 250)
    assert ready(joiner, 500) == [(0, None, "skipped")]
    assert ready(joiner, 550) == [(1, None, "timeout")]
