from pipeline.view.pipeline_view import PipelineView
from pipeline.view.plain_line import plain_line
from tests.view.samples import workers


def test_plain_line_says_it_all_in_one_line():
    line = plain_line(PipelineView("demo tour", workers(2), run_s=42, restarts={"sink": 1}))
    assert "\n" not in line
    assert line.startswith(
        "0:42 | camera-0 up, fps 30 in 29 predicted 28 shown, latency 33/33/33 ms, "
        "2 things moving: right 0.12 widths/s, left 0.05, shown 890"
    )
    assert "dropped 10 (sink.overflow 7, wire.lost 3)" in line
    assert "accuracy 90%" in line
    assert line.endswith("workers capture=ready inference=ready sink=ready(restarts 1)")
    assert plain_line(PipelineView("x")) == "0:00 | workers none yet"


def test_a_stream_whose_camera_machine_is_cut_off_is_silent_and_not_still() -> None:
    figures = workers(1, trouble=False)
    figures[0].sent_ns -= 56 * 10**9
    for figure in figures[1:]:
        figure.streams["camera-0"].fps = 0.0
    figures[1].streams["camera-0"].things.now = "nothing moving"
    line = plain_line(PipelineView("x", figures))
    stream = "camera-0 silent for 56 s, fps - in 0.00 predicted 0.00 shown, latency - ms, shown 900"
    assert stream in line
    assert "capture=silent 56s" in line
    figures[1].streams["camera-0"].fps = figures[2].streams["camera-0"].fps = 9.0
    line = plain_line(PipelineView("x", figures))
    assert "9.0 shown, latency 33/33/33 ms, nothing moving" in line, "only the monitor is cut off from it"
