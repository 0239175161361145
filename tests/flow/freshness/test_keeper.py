"""The keeper with reports that come fast or rarely; a clock that is set stands for hours."""

import msgspec
import pytest

from pipeline.base.config import load_config
from pipeline.flow.freshness.ages import Feedback
from pipeline.flow.freshness.keeper import FreshnessKeeper

BEGAN_NS, SESSION = 10**18, 7


def keeper(events: list[str]) -> FreshnessKeeper:
    freshness = msgspec.structs.replace(load_config().freshness, max_age_ms=100.0)
    made = FreshnessKeeper(freshness, 90, events.append)
    made.add("cam", "newest")
    return made


def late_report(now_ns: int, *, session: int = SESSION, ahead_ms: int = 0) -> Feedback:
    """Predictions 900 ms old, from an inference worker whose clock is ahead."""
    sent_ns, ages_ms = now_ns + ahead_ms * 10**6, (900.0 + ahead_ms, 880.0 + ahead_ms)
    return Feedback("cam", session, sent_ns, *ages_ms, step_ms=10.0, since_ns=now_ns - 10**9)


@pytest.mark.parametrize("apart_s", [0.25, 3.2, 10.0])
@pytest.mark.parametrize("ahead_ms", [0, 5000, -5000])
def test_however_far_apart_reports_are_they_are_believed(apart_s: float, ahead_ms: int) -> None:
    events: list[str] = []
    kept, apart_ns = keeper(events), int(apart_s * 1e9)
    for now in range(BEGAN_NS, BEGAN_NS + 20 * apart_ns, apart_ns // 5):
        kept.knobs("cam", 480, now)
        due = (now - BEGAN_NS) % apart_ns == 0
        kept.update([late_report(now, ahead_ms=ahead_ms)] if due else [], SESSION, now)
    control = kept.controls["cam"]
    assert control.age_ms == pytest.approx(900.0)
    assert control.turns.get("quality down", 0) > 0, events


def test_reports_on_the_frames_of_another_capture_worker_do_not_count() -> None:
    events: list[str] = []
    kept = keeper(events)
    for now in range(BEGAN_NS, BEGAN_NS + 3 * 10**9, 250_000_000):
        kept.knobs("cam", 480, now)
        kept.update([late_report(now, session=SESSION + 1)], SESSION, now)
    assert (kept.controls["cam"].age_ms, events) == (None, [])


def test_a_stride_of_two_leaves_out_every_other_frame() -> None:
    kept = keeper([])
    control = kept.controls["cam"]
    control.knobs = control.knobs.turned("stride", 2)
    assert [kept.leaves_out("cam", BEGAN_NS + number) for number in range(4)] == [True, False, True, False]
    assert not kept.leaves_out("another", BEGAN_NS)
