from hypothesis import given
from hypothesis import strategies as st

from pipeline.base.frame import FrameId
from pipeline.flow.gaps import Gap, GapTracker

SIZE = (480, 640)


def at(seq: int, session: int = 1, epoch: int = 0) -> FrameId:
    return FrameId("cam", session, epoch, seq)


def test_frames_in_a_row_leave_no_gap() -> None:
    gaps = GapTracker()
    assert [gaps.update(at(seq), 0, SIZE) for seq in range(3)] == [Gap()] * 3
    assert gaps.seen == {1: 3}


def test_lost_frames_are_those_that_capture_did_not_drop_itself() -> None:
    gaps = GapTracker()
    gaps.update(at(0), 0, SIZE)
    assert gaps.update(at(10), 4, SIZE) == Gap(lost=5)


def test_what_was_sent_before_the_first_arrival_is_absent_not_lost() -> None:
    assert GapTracker().update(at(10), 3, SIZE) == Gap(absent=7)


def test_a_new_epoch_session_or_size_is_a_reset() -> None:
    gaps = GapTracker()
    gaps.update(at(0), 0, SIZE)
    assert gaps.update(at(1, epoch=1), 0, SIZE).reset == "reconnect"
    assert gaps.update(at(2, epoch=2), 0, (240, 320)).reset == "size"
    assert gaps.update(at(2, session=2), 0, (240, 320)) == Gap(lost=2, reset="restart")
    assert gaps.seen == {1: 3, 2: 3}


def test_the_end_of_a_stream_shows_what_was_lost_last() -> None:
    gaps = GapTracker()
    gaps.update(at(0), 0, SIZE)
    assert gaps.update(at(5), 1) == Gap(lost=3)
    assert gaps.update(at(5), 1) == Gap()  # repeated until acknowledged
    assert gaps.seen == {1: 5}


def test_a_stream_that_comes_back_after_its_end_goes_on_with_its_number() -> None:
    gaps = GapTracker()
    gaps.update(at(0), 0, SIZE)
    assert gaps.update(at(5), 4) == Gap()
    assert gaps.update(at(5, epoch=1), 4, SIZE) == Gap(reset="reconnect")
    assert gaps.update(at(8, epoch=1), 4) == Gap(lost=2)
    assert gaps.update(at(8, epoch=2), 4) == Gap(reset="reconnect"), "it ended without a frame"
    assert gaps.update(at(9, epoch=3), 4, SIZE).lost == 1
    assert gaps.seen == {1: 10}


def test_a_frame_that_was_there_or_before_it_is_known_and_one_after_an_end_is_not() -> None:
    gaps = GapTracker()
    assert not gaps.is_known(at(0))
    gaps.update(at(5), 0, SIZE)
    assert [gaps.is_known(at(seq)) for seq in (4, 5, 6)] == [True, True, False]
    assert not gaps.is_known(at(3, session=2)), "numbers of another session begin anew"
    gaps.update(at(6), 0)
    assert [gaps.is_known(at(seq)) for seq in (5, 6)] == [True, False]


@given(st.lists(st.sampled_from(["arrives", "lost", "skipped"]), min_size=1, max_size=100))
def test_the_sums_are_right_whatever_is_lost_where(fates: list[str]) -> None:
    gaps, skipped, lost, arrived = GapTracker(), 0, 0, 0
    for seq, fate in enumerate(fates):
        if fate == "skipped":
            skipped += 1
        elif fate == "arrives":
            gap = gaps.update(at(seq), skipped, SIZE)
            lost += gap.lost + gap.absent
            arrived += 1
    gap = gaps.update(at(len(fates)), skipped)
    lost += gap.lost + gap.absent
    assert lost == fates.count("lost")
    assert arrived + lost + skipped == len(fates)


def test_what_is_kept_of_restarts_is_bounded() -> None:
    gaps = GapTracker()
    for session in range(4096):
        gaps.update(at(0, session), 0, SIZE)
    assert list(gaps.seen) == list(range(4096 - 64, 4096))
