"""Which frames are too old, with clocks that differ and links that stand still."""

import pytest

from pipeline.flow.age_limit import AgeLimit

MS = 1_000_000
T0 = 10**18
LIMIT_MS = 2000.0


@pytest.mark.parametrize("ahead_ms", [0, 3_600_000, -3_600_000])
def test_the_clock_of_another_machine_does_not_matter(ahead_ms: int) -> None:
    limit = AgeLimit(LIMIT_MS)
    for now in range(T0, T0 + 1000 * MS, 40 * MS):
        limit.arrived(7, now + ahead_ms * MS, now + 5 * MS)
    now = T0 + 1000 * MS
    for age_ms, expected in ((10, False), (1900, False), (2100, True), (60_000, True)):
        captured = now + ahead_ms * MS - age_ms * MS
        assert limit.is_too_old(7, "newest", captured, now) is expected
        assert not limit.is_too_old(7, "every", captured, now), "a file has all the time"


@pytest.mark.parametrize("cut_s", [20, 600])
def test_what_was_stuck_behind_a_cut_is_old_however_long_the_cut_was(cut_s: int) -> None:
    limit = AgeLimit(LIMIT_MS)
    for now in range(T0, T0 + 1000 * MS, 40 * MS):
        limit.arrived(7, now, now + 5 * MS)
    sent, now = T0 + 1000 * MS, T0 + (1000 + cut_s * 1000) * MS
    limit.arrived(7, sent, now)
    assert limit.is_too_old(7, "newest", sent, now)
    limit.arrived(7, now, now + 5 * MS)
    assert not limit.is_too_old(7, "newest", now, now + 5 * MS)


def test_a_restarted_worker_has_a_clock_of_its_own() -> None:
    limit = AgeLimit(LIMIT_MS)
    limit.arrived(7, T0, T0 + 5 * MS)
    limit.arrived(8, T0 - 3_600_000 * MS, T0 + 5 * MS)
    assert not limit.is_too_old(8, "newest", T0 - 3_600_000 * MS, T0 + 10 * MS)
    assert not limit.is_too_old(7, "newest", T0, T0 + 10 * MS)


def test_a_backlog_that_stays_is_old_however_long_it_lasts() -> None:
    limit = AgeLimit(LIMIT_MS)
    for sent in range(T0, T0 + 600_000 * MS, 200 * MS):
        delay_ms = 5 if sent < T0 + 60_000 * MS else 10_000
        limit.arrived(7, sent, sent + delay_ms * MS)
        assert limit.is_too_old(7, "newest", sent, sent + delay_ms * MS) is (delay_ms > LIMIT_MS)


def test_a_forged_time_does_not_make_fresh_frames_old() -> None:
    limit = AgeLimit(LIMIT_MS)
    limit.arrived(7, T0, T0 + 5 * MS)
    limit.arrived(7, 2**62, T0 + 6 * MS)
    assert not limit.is_too_old(7, "newest", T0 + 10 * MS, T0 + 15 * MS)


def test_the_clock_of_a_session_that_is_still_heard_is_kept_when_many_others_come() -> None:
    limit, delay_ms = AgeLimit(LIMIT_MS), 5
    for number in range(1000):
        sent = T0 + number * 10 * MS
        limit.arrived(7, sent, sent + delay_ms * MS)
        limit.arrived(1000 + number, sent, sent + 5 * MS)
        delay_ms = 10_000
    assert limit.is_too_old(7, "newest", sent, sent + delay_ms * MS)
