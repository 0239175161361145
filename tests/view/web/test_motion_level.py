import pytest

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
