from itertools import pairwise

import cv2
import numpy as np
import pytest
import torch
from torch import Tensor, nn

from pipeline.model.network import TemporalKVQResNetCBAM
from pipeline.training.evaluation.evaluate import calibrated, evaluate, score_recorded, streaming_difference
from pipeline.training.rendered.renderer import LABELS, MotionRenderer, Scene
from pipeline.training.samples import Clips


class Tracker(TemporalKVQResNetCBAM):
    """The network's interface over a tracker of corners, which knows pans and tilts and no other motion."""

    def __init__(self) -> None:
        super().__init__(depth=18, num_classes=9, d_model=16, num_heads=1, image_size=64, labels=LABELS)
        self.eval()

    def forward(self, *frames: Tensor, past_mask: Tensor | None = None) -> tuple[Tensor, dict[str, Tensor]]:
        grey = torch.stack(frames, dim=1).mean(dim=2).double().numpy()
        logits = nn.functional.one_hot(torch.tensor([self._name(clip) for clip in grey]), 9).float()
        if past_mask is not None:
            logits[~past_mask.any(dim=1)] = torch.eye(9)[0]
        return logits, {}

    @staticmethod
    def _name(clip: np.ndarray) -> int:
        window = cv2.createHanningWindow(clip.shape[:0:-1], cv2.CV_64F)
        shifts = [cv2.phaseCorrelate(a, b, window)[0] for a, b in pairwise(clip)]
        right, down = np.sum(shifts, axis=0)
        if max(abs(right), abs(down)) < 0.8:
            return 0
        if abs(right) > abs(down):
            return LABELS.index("pan_left" if right > 0 else "pan_right")
        return LABELS.index("tilt_up" if down > 0 else "tilt_down")


def test_controls_tell_a_model_that_compares_frames() -> None:
    clean = Scene(object_share=0, overlay_share=0, sensor=False, side_motion=0)
    report = evaluate(Tracker(), samples=90, size_px=64, bank_count=32, speeds=(1.0,), scene=clean, seed=4)
    confusion = torch.tensor(report["speeds"]["1"]["confusion"])
    known = confusion[:5].diagonal().sum() / confusion[:5].sum()
    assert known > 0.85
    controls = report["controls"]
    assert controls["no_past"] < 0.25
    assert controls["single_frame"] < 0.25
    assert controls["reversed"] > 0.4
    assert controls["shuffled"] < controls["reversed"]
    assert report["calibration"]["temperature"] is None
    assert report["calibration"]["refitted"]["temperature"] < 1


def test_recorded_clips_with_their_controls() -> None:
    clean = Scene(object_share=0, overlay_share=0, sensor=False, side_motion=0)
    renderer = MotionRenderer("cpu", 64, seed=6, bank_count=32, redraw_every=0, scene=clean)
    batches = [renderer.clips(60, 1.0) for _ in range(2)]
    of_pans = [Clips(*(part[clips.labels < 5] for part in clips[:2])) for clips in batches]
    report = score_recorded(Tracker(), of_pans)
    assert report["windows"] == report["clips"] == sum(len(clips.labels) for clips in of_pans)
    assert report["accuracy"] > 0.85
    assert report["labels"] == list(LABELS)
    assert report["controls"]["single_frame"] < 0.4
    assert report["controls"]["shuffled"] < 0.5
    assert report["largest_class"] < 0.4
    with pytest.raises(ValueError, match="no clips"):
        score_recorded(Tracker(), [])


def test_a_refitted_temperature_is_judged_on_other_clips_than_it_was_fitted_on() -> None:
    """One clip of a class is all right, the other all wrong: its own windows would tell nothing of that."""
    labels = torch.tensor([0] * 20 + [1] * 20)
    of_clips = torch.tensor([0] * 10 + [1] * 10 + [2] * 10 + [3] * 10)
    answers = torch.where(of_clips % 2 == 0, labels, 1 - labels)
    logits = 3 * torch.nn.functional.one_hot(answers, 2).float()
    by_clip = calibrated(Tracker(), logits, labels, of_clips)["refitted"]
    assert by_clip["temperature"] < 1, "fitted on the clips that are right"
    assert by_clip["expected_calibration_error"] > 0.9, "and judged on those that are wrong"
    right = of_clips % 2 == 0
    one_each = calibrated(Tracker(), logits[right], labels[right], of_clips[right])
    assert "refitted" not in one_each


def test_other_classes_need_other_clips() -> None:
    model = TemporalKVQResNetCBAM(depth=18, num_classes=2, d_model=16, num_heads=2, labels=("open", "shut"))
    with pytest.raises(ValueError, match="--data"):
        evaluate(model, samples=4)


def test_any_number_of_past_frames() -> None:
    torch.manual_seed(0)
    model = TemporalKVQResNetCBAM(
        depth=18, num_classes=9, d_model=16, num_heads=2, num_past=1, image_size=32, labels=LABELS
    ).eval()
    report = evaluate(model, samples=6, size_px=32, bank_count=32, speeds=(1.0,))
    assert report["streaming"]["max_difference"] < 1e-4
    assert sum(map(sum, report["speeds"]["1"]["confusion"])) == 6


def test_streaming_equals_the_whole_clip() -> None:
    torch.manual_seed(0)
    model = TemporalKVQResNetCBAM(depth=18, num_classes=9, d_model=16, num_heads=2, image_size=64).eval()
    assert streaming_difference(model, torch.randn(2, 3, 3, 64, 64)) < 1e-4
