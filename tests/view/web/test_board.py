import msgspec

from pipeline.view.web.board import picture_info
from tests.view.samples import frame, prediction


def test_frame_without_prediction():
    told = picture_info(frame(), None, fps=None, latency_ms=None)
    assert told["top"] is None
    assert told["depth"] is None


def test_the_truth_is_shown_beside_a_prediction_that_is_scored():
    seen, scored = frame(truth="static"), prediction()
    not_scored = msgspec.structs.replace(scored, scored=False)
    shown = [
        picture_info(seen, one, fps=None, latency_ms=None)["truth"] for one in (scored, not_scored, None)
    ]
    assert shown == ["static", None, None]
