"""The control law of freshness, against links and machines that are modelled in a few lines each."""

from collections.abc import Callable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.flow.freshness.ages import Feedback
from pipeline.flow.freshness.knobs import Knobs, Limits
from pipeline.flow.freshness.law import FreshnessControl

TARGET_MS = 150.0
LIMITS = Limits(quality=50, side_px=240, fps=5.0)
TICK_NS = 250_000_000
SOURCE = {"side_px": 480, "fps": 25.0}
World = Callable[[Knobs], tuple[float, float, float]]
"""Age, time on the way and time of a step in ms, for given settings."""


def feedback(age_ms: float, transit_ms: float, step_ms: float, since_ns: int) -> Feedback:
    return Feedback("cam", 1, since_ns, age_ms, transit_ms, step_ms, since_ns)


class Run:
    """A control in a world, minute by minute."""

    def __init__(self, quality: int = 90) -> None:
        self.control = FreshnessControl(TARGET_MS, LIMITS, quality)
        self.now_ns = 10**18
        self.events: list[str] = []
        self.settings: list[Knobs] = []

    def live(self, world: World | None, seconds: float, every: int = 1) -> list[str]:
        """Lives in a world that speaks every so many ticks; None says nothing. Returns the events."""
        before = len(self.events)
        for tick in range(int(seconds * 1e9 / TICK_NS)):
            if world is not None and tick % every == 0:
                age, transit, step = world(self.control.knobs)
                # The frames that are spoken of were captured an age and a window ago.
                since_ns = self.now_ns - int(age * 1e6) - TICK_NS
                self.control.observe(feedback(age, transit, step, since_ns), self.now_ns)
            self.events += self.control.decide(self.now_ns, **SOURCE)
            self.settings.append(self.control.knobs)
            self.now_ns += TICK_NS
        return self.events[before:]


def calm(knobs: Knobs) -> tuple[float, float, float]:
    return 60.0, 15.0, 40.0


def link(kb_per_s: float) -> World:
    """A link that holds 512 kB in its buffers once more is sent than it carries."""

    def world(knobs: Knobs) -> tuple[float, float, float]:
        frame_kb = (900.0 if not knobs.quality else 0.8 * knobs.quality) / knobs.size**2
        rate = 25.0 / knobs.stride
        queue_kb = 512.0 if frame_kb * rate > kb_per_s else 0.0
        transit = (frame_kb + queue_kb) / kb_per_s * 1000 + 5
        return transit + 45, transit, 40.0

    return world


def busy_machine(knobs: Knobs) -> tuple[float, float, float]:
    """Every frame costs time that the step lacks."""
    step = 50.0 + 8.0 * 25 / knobs.stride
    return 30.0 + step, 20.0, step


def slow_model(knobs: Knobs) -> tuple[float, float, float]:
    return 330.0, 150.0, 290.0


def test_nothing_is_turned_while_predictions_are_in_time() -> None:
    run = Run()
    assert run.live(calm, 120) == []
    assert run.control.knobs == Knobs(quality=90)


@pytest.mark.parametrize("kb_per_s", [1500, 700, 250])
@pytest.mark.parametrize("quality", [0, 90])
def test_a_slow_link_is_given_less_until_predictions_are_in_time(kb_per_s: float, quality: int) -> None:
    run = Run(quality)
    events = run.live(link(kb_per_s), 300)
    late = [link(kb_per_s)(knobs)[0] > TARGET_MS for knobs in run.settings[-720:]]
    assert sum(late) < 0.1 * len(late), "late only while a step back is tried"
    assert "on the way to inference: JPEG quality" in events[0]


def test_quality_goes_first_then_size_then_stride_and_none_below_its_limit() -> None:
    run = Run()
    events = run.live(link(70), 120)
    assert list(dict.fromkeys(run.settings)) == [
        Knobs(90),
        Knobs(60),
        Knobs(50),
        Knobs(50, size=2),
        *(Knobs(50, size=2, stride=stride) for stride in (3, 4)),
    ]
    assert "the link is too slow for this stream; allow less with" in events[-1], "the lowest does not do"


def test_a_busy_machine_gets_fewer_frames_and_all_of_them_back() -> None:
    run = Run()
    (first, *_) = events = run.live(busy_machine, 60)
    assert first == "predictions are 280 ms old, target 150, most of it in inference: every 2nd frame"
    assert busy_machine(run.control.knobs)[0] <= TARGET_MS, events
    assert run.control.knobs.quality == 90
    back = run.live(calm, 60)
    assert run.control.knobs == Knobs(quality=90), back
    assert "stepping up to every frame" in back[-1]


def test_knobs_go_back_once_the_link_is_fast_again() -> None:
    run = Run(quality=0)
    run.live(link(250), 60)
    assert run.control.knobs != Knobs()
    run.live(link(100_000), 120)
    assert run.control.knobs == Knobs()


def test_tries_to_go_back_become_rare_while_there_is_no_room() -> None:
    run = Run()
    run.live(link(700), 60)
    tries = [sum("room for" in event for event in run.live(link(700), 300)) for _ in range(3)]
    assert tries[0] <= 12
    assert tries[2] <= 4
    late = sum(link(700)(knobs)[0] > TARGET_MS for knobs in run.settings[-1200:])
    assert late / 1200 < 0.05


def test_knobs_that_do_not_help_go_back_and_the_cause_is_told() -> None:
    run = Run()
    events = run.live(slow_model, 30)
    assert run.control.knobs == Knobs(quality=90)
    assert "sending less does not help: JPEG quality 90 again; a step takes 290 ms" in events[-1]
    assert [event for event in run.live(slow_model, 30) if "every" in event] == [], "not again at once"
    assert run.control.turns["reverted"] == 1


def test_lateness_that_lasts_is_told_now_and_then_and_its_end_once() -> None:
    run = Run()
    run.live(slow_model, 30)
    told = run.live(slow_model, 30)
    assert len(told) <= 1
    assert "back within the target" in " ".join(run.live(calm, 10))
    assert run.live(calm, 60) == []


def test_without_feedback_nothing_is_turned() -> None:
    run = Run()
    run.live(link(250), 60)
    settings = run.control.knobs
    events = run.live(None, 600)
    assert run.control.knobs == settings
    assert events == [f"no report on the age of predictions; until one arrives: {settings}"]


def test_silence_from_the_start_on_is_told_once() -> None:
    run = Run()
    assert run.live(None, 10) == [], "no frame was sent yet, so there is nothing to say"
    run.control.start(run.now_ns)
    assert run.live(None, 2.75) == []
    run.control.start(run.now_ns)
    everything = str(Knobs(quality=90))
    assert run.live(None, 60) == [f"no report on the age of predictions; until one arrives: {everything}"]
    run.live(calm, 1)
    assert run.control.age_ms == 60.0


def test_words_that_are_far_apart_are_believed_too() -> None:
    run = Run()
    silent = [event for event in run.live(link(250), 120, every=20) if "no report" in event]
    assert len(silent) <= 2, "two long gaps show the pace"
    assert run.control.knobs.quality < 90
    assert run.control.age_ms is not None
    assert sum("no report" in event for event in run.live(None, 30)) == 1


def test_one_outage_is_no_pace() -> None:
    run = Run()
    run.live(calm, 10)
    run.live(None, 60)
    run.live(calm, 0.25)
    assert run.live(None, 4) == [run.events[0]]


def test_what_waited_before_a_turn_is_no_reason_for_another() -> None:
    run = Run()
    run.live(link(250), 2)
    knobs, turned_ns = run.control.knobs, run.now_ns
    assert knobs == Knobs(quality=60)
    for _ in range(40):
        run.control.observe(feedback(9000.0, 8900.0, 40.0, turned_ns - 10**9), run.now_ns)
        assert run.control.decide(run.now_ns, **SOURCE) == []
        run.now_ns += TICK_NS
    assert run.control.knobs == knobs


def test_an_age_that_falls_by_itself_is_waited_for() -> None:
    run = Run()
    for age in (4000.0 * 0.8**n for n in range(30)):
        for _ in range(2):
            run.control.observe(feedback(age, age - 50, 40.0, run.now_ns), run.now_ns)
            run.events += run.control.decide(run.now_ns, **SOURCE)
            run.now_ns += TICK_NS
    assert run.control.knobs == Knobs(quality=90)


@settings(max_examples=30)
@given(st.lists(st.tuples(st.floats(-1e4, 1e5), st.floats(-1e4, 1e5), st.floats(0, 1e4)), max_size=300))
def test_whatever_is_told_the_limits_hold(told: list[tuple[float, float, float]]) -> None:
    run = Run(quality=0)
    for stats in told:
        run.live(lambda knobs, stats=stats: stats, 0.5)
        knobs = run.control.knobs
        assert knobs.quality == 0 or knobs.quality >= LIMITS.quality
        assert SOURCE["side_px"] / knobs.size >= LIMITS.side_px
        assert SOURCE["fps"] / knobs.stride >= LIMITS.fps
