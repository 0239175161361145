"""Frames that wait for their stream to change its owner."""

import pytest

from pipeline.account.stats import StreamStats
from pipeline.base.frame import FrameId
from pipeline.flow.gaps import Gap
from tests.wire.peers import end
from tests.workers.arriving import received
from workers.standby import Standby, count_lost


def standby(*seqs: int, policy: str = "newest", capacity: int = 3) -> Standby:
    waits = Standby(1, capacity, 0)
    for seq in seqs:
        waits.take(received(seq, 40.0 * seq, policy=policy))
    return waits


def last(seq: int, session: int = 1) -> FrameId:
    return FrameId("door", session, 0, seq)


@pytest.mark.parametrize(
    ("dealt_with", "waiting", "gone"),
    [
        (None, [2, 3, 4], 2),
        (last(0), [2, 3, 4], 1),
        (last(1), [2, 3, 4], 0),
        (last(3), [4], 0),
        (last(9), [], 0),
        (last(9, session=5), [2, 3, 4], 2),
    ],
)
def test_what_the_former_owner_has_dealt_with_is_left_out(
    dealt_with: FrameId | None, waiting: list[int], gone: int
) -> None:
    frames, had_to_go = standby(0, 1, 2, 3, 4).after(dealt_with)
    assert ([one.header.seq for one in frames], had_to_go) == (waiting, gone)


def test_frames_that_must_not_be_lost_wait_with_their_publisher() -> None:
    assert standby().room is None
    assert standby(0, 1).room is None
    assert standby(0, 1, policy="every").room == 1
    assert standby(0, 1, 2, policy="every").room == 0


def test_an_end_counts_until_something_follows_it() -> None:
    waits = standby()
    assert not waits.has_begun
    waits.take(end(5))
    assert waits.has_begun
    assert waits.end == end(5)
    waits.take(received(5, 200.0))
    assert waits.end is None


@pytest.mark.parametrize(
    ("gap", "gone", "counted"),
    [
        (Gap(lost=5), None, {"wire.lost": 5}),
        (Gap(lost=5), 0, {"inference.stopped": 5}),
        (Gap(lost=5), 2, {"inference.overflow": 2, "inference.stopped": 3}),
        (Gap(lost=5), 7, {"inference.overflow": 5}),
        (Gap(lost=5, reset="restart"), 0, {"wire.lost": 5}),
        (Gap(), 0, {}),
    ],
)
def test_what_is_missing_between_two_owners_was_left_by_the_former_one(
    gap: Gap, gone: int | None, counted: dict[str, int]
) -> None:
    stats = StreamStats()
    said = count_lost(stats, gap, gone)
    assert stats.not_predicted == counted
    left = counted.get("inference.stopped")
    assert said == (f"{left} frames that only its former worker received are not predicted" if left else "")
