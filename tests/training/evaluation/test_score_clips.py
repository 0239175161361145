import pytest

from pipeline.base.camera_motions import CAMERA_MOTIONS
from pipeline.training.evaluation.score_clips import score_clips
from pipeline.training.rendered.renderer import MotionRenderer, Scene
from pipeline.training.samples import Clips
from tests.training.evaluation.test_score_motions import Tracker


def test_recorded_clips_with_their_controls() -> None:
    clean = Scene(object_share=0, overlay_share=0, sensor=False, side_motion=0)
    renderer = MotionRenderer("cpu", 64, seed=6, bank_count=8, redraw_every=0, scene=clean)
    batches = [renderer.clips(60, 1.0) for _ in range(2)]
    of_pans = [Clips(*(part[clips.labels < 5] for part in clips[:2])) for clips in batches]
    report = score_clips(Tracker(), of_pans)
    assert report["windows"] == report["clips"] == sum(len(clips.labels) for clips in of_pans)
    assert report["accuracy"] > 0.85
    assert report["labels"] == list(CAMERA_MOTIONS)
    assert report["controls"]["single_frame"] < 0.4
    assert report["controls"]["shuffled"] < 0.5
    assert report["majority_accuracy"] < 0.4
    with pytest.raises(ValueError, match="no clips"):
        score_clips(Tracker(), [])
