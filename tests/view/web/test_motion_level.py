import pytest

from pipeline.base.errors import UserError
from pipeline.view.web.motion_level import MotionLevel

SECOND = 10**9
START_NS = 1_800_000_000 * SECOND  # a whole minute


def level(*spans):
    """Pictures ten times a second: (from second, to second, things)."""
    motion = MotionLevel()
    for begin, end, things in spans:
        for tenth in range(begin * 10, end * 10):
            motion.take("front", things, START_NS + tenth * SECOND // 10)
    return motion


def test_the_share_of_each_minute_in_which_something_moved():
    motion = level((0, 15, 2), (15, 60, 0), (60, 120, 1))
    *before, first, second = motion.minutes("front", START_NS + 119 * SECOND)
    assert before == [None] * 58
    assert first == pytest.approx(0.25, abs=0.01)
    assert second == pytest.approx(1.0)


def test_what_nobody_knows_counts_as_nothing():
    motion = level((0, 30, 1), (30, 60, None))
    assert motion.minutes("front", START_NS + 60 * SECOND)[-2] == pytest.approx(1.0)
    assert level((0, 60, None)).minutes("front", START_NS)[-1] is None
    assert MotionLevel().minutes("front", START_NS) == [None] * 60


def test_a_silence_is_not_motion():
    motion = MotionLevel()
    for second in (0, 1, 50, 51):  # 49 s without a picture, of which two count
        motion.take("front", 1 if second == 50 else 0, START_NS + second * SECOND)
    assert motion.minutes("front", START_NS + 59 * SECOND)[-1] == pytest.approx(0.5)


def test_an_hour_is_kept():
    motion = level(*[(minute * 60, minute * 60 + 1, 1) for minute in range(90)])
    assert motion.minutes("front", START_NS + 89 * 60 * SECOND) == [1.0] * 60
    assert motion.minutes("front", START_NS + 200 * 60 * SECOND) == [None] * 60


def kept(*asked_for):
    """A log with motion in the first half of each minute since the start; notes what is asked for."""

    def read(stream_id, since_ns, until_ns):
        asked_for[0].append((stream_id, since_ns, until_ns))
        seconds = ((START_NS + second * SECOND, int(second % 60 < 30)) for second in range(7200))
        return [one for one in seconds if since_ns <= one[0] < until_ns]

    return read


def test_what_was_kept_before_the_first_picture_goes_before_it():
    asked = []
    motion = MotionLevel(kept(asked))
    for second in range(15, 60):  # in the third minute: nothing moves any more
        motion.take("front", 0, START_NS + (120 + second) * SECOND)
    *before, first, second, third = motion.minutes("front", START_NS + 179 * SECOND)
    assert before == [None] * 57
    assert (first, second) == (pytest.approx(0.5, abs=0.02), 0.5)
    assert third == pytest.approx(15 / 60, abs=0.02), "each picture counts once"
    motion.take("front", 0, START_NS + 180 * SECOND)
    assert motion.minutes("front", START_NS + 181 * SECOND)[-4:] == [first, second, third, 0.0]
    assert asked == [("front", START_NS - 57 * 60 * SECOND, START_NS + 135 * SECOND)], "it is read once"


def test_a_stream_without_a_picture_has_what_was_kept_and_goes_on():
    motion = MotionLevel(kept([]))
    found = motion.minutes("front", START_NS + 90 * 60 * SECOND)
    assert found == [pytest.approx(0.5, abs=0.01)] * 59 + [None]
    motion.take("front", 1, START_NS + 90 * 60 * SECOND)
    motion.take("front", 1, START_NS + (90 * 60 + 1) * SECOND)
    assert motion.minutes("front", START_NS + 91 * 60 * SECOND)[-3:] == [0.5, 1.0, None]


def test_nothing_is_read_where_the_sink_has_seen_the_whole_hour():
    asked = []
    motion = MotionLevel(kept(asked))
    motion.take("front", 1, START_NS)
    motion.minutes("front", START_NS + 3600 * SECOND)
    assert asked == []


def test_a_store_that_cannot_be_read_leaves_what_was_seen_and_is_asked_again():
    broken = [True]

    def read(*asked):
        if broken:
            raise UserError("the disk is gone")
        return kept([])(*asked)

    motion = MotionLevel(read)
    for second in range(60, 90):
        motion.take("front", 1, START_NS + second * SECOND)
    assert motion.minutes("front", START_NS + 90 * SECOND)[-2:] == [None, 1.0]
    broken.clear()
    assert motion.minutes("front", START_NS + 90 * SECOND)[-2:] == [pytest.approx(0.5, abs=0.01), 1.0]
