from pipeline.view.web.board import picture_info
from tests.view.samples import frame


def test_frame_without_prediction():
    told = picture_info(frame(), None, fps=None, latency_ms=None)
    assert told["top"] is None
    assert told["depth"] is None
