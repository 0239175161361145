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
