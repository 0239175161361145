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
    nobody = "0:00 | workers none yet: start a pipeline with `kvq-stream`"
    assert plain_line(PipelineView("x")) == nobody
