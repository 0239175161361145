import pytest

from pipeline.account.stats import WorkerStats
from pipeline.view.pipeline_view import OUTPACED, SINK_OUTPACED, PipelineView, Usage
from tests.view.samples import workers


def test_restarted_worker_goes_on_counting_and_shows_its_present_life():
    first, second = workers(1)[1], workers(1)[1]
    second.session, second.state = 99, "starting"
    second.streams["camera-0"].cache_depth = 0
    figures = PipelineView("x", [first, second])
    assert [worker.state for worker in figures.workers] == ["starting"]
    assert figures.streams["camera-0"].total.predicted == 1760
    assert figures.streams["camera-0"].cache_depth == 0


def test_what_a_dead_sink_had_shown_is_not_shown_as_dropped():
    figures = workers(1, trouble=False)
    again = workers(1, trouble=False)[2]
    again.session = 99
    again.streams["camera-0"].rendered = 40
    again.streams["camera-0"].drop("sink.absent", 900)
    shown = PipelineView("x", [*figures, again])
    assert shown.streams["camera-0"].total.rendered == 940
    assert shown.streams["camera-0"].losses == []


@pytest.mark.parametrize(
    ("late", "captured", "predicted", "behind"),
    [(300, 30.0, 20.0, True), (300, 30.0, 20.1, False), (1, 30.0, 9.0, True), (0, 30.0, 9.0, False)],
)
def test_a_stream_that_inference_is_too_slow_for_now_says_what_helps(
    late: int, captured: float, predicted: float, behind: bool
) -> None:
    figures = workers(1, trouble=False)
    streams = {one.role: one.streams["camera-0"] for one in figures}
    streams["capture"].fps, streams["inference"].fps = captured, predicted
    streams["inference"].skip("inference.overflow", late)
    assert PipelineView("x", figures).streams["camera-0"].advice == (OUTPACED if behind else None)


def test_a_starting_worker_shows_what_its_process_uses() -> None:
    figures = workers(1)
    figures[1] = WorkerStats("inference", "inference", session=0, host="", pid=0)
    assert PipelineView("x", figures).usage(figures[1]) is None
    view = PipelineView("x", figures, used_at_start={"inference": Usage(77, 150.0, 600.0)})
    assert view.usage(figures[1]) == (77, 150.0, 600.0)
    assert view.usage(figures[0]) == (figures[0].pid, 12.0, 180.0)


@pytest.mark.parametrize(
    ("shown", "predicted", "overwritten", "advice"),
    [
        (20.0, 30.0, 1, SINK_OUTPACED),
        (20.0, 20.0, 1, f"{OUTPACED}; {SINK_OUTPACED}"),
        (20.1, 30.0, 1, None),
        (20.0, 30.0, 0, None),
    ],
)
def test_advice_names_the_worker_that_is_slow(
    shown: float, predicted: float, overwritten: int, advice: str | None
) -> None:
    figures = workers(1, trouble=False)
    streams = {one.role: one.streams["camera-0"] for one in figures}
    streams["capture"].fps, streams["inference"].fps, streams["sink"].fps = 30.0, predicted, shown
    streams["inference"].skip("inference.overflow", 1)
    streams["sink"].drop("sink.too_old", 500)
    streams["sink"].drop("wire.overwritten", overwritten)
    assert PipelineView("x", figures).streams["camera-0"].advice == advice
