from itertools import pairwise

import cv2
import numpy as np
import pytest
import torch
from torch import Tensor, nn

from pipeline.base.camera_motions import CAMERA_MOTIONS
from pipeline.model.network import TemporalKVQResNetCBAM
from pipeline.training.evaluation.score_motions import score_motions
from pipeline.training.rendered.renderer import Scene


class Tracker(TemporalKVQResNetCBAM):
    """The network's interface over a tracker of corners, which knows pans and tilts and no other motion."""

    def __init__(self) -> None:
        super().__init__(
            depth=18, num_classes=9, d_model=16, num_heads=1, image_size=64, labels=CAMERA_MOTIONS
        )
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
            return CAMERA_MOTIONS.index("pan_left" if right > 0 else "pan_right")
        return CAMERA_MOTIONS.index("tilt_up" if down > 0 else "tilt_down")


def test_controls_reveal_a_model_that_compares_frames() -> None:
    clean = Scene(object_share=0, overlay_share=0, sensor=False, side_motion=0)
    report = score_motions(
        Tracker(), samples=90, size_px=64, bank_count=8, speeds=(1.0,), scene=clean, seed=4
    )
    confusion = torch.tensor(report["speeds"]["1"]["confusion"])
    known = confusion[:5].diagonal().sum() / confusion[:5].sum()
    assert known > 0.85
    assert report["accuracy"] == report["speeds"]["1"]["accuracy"], "one speed, one definition"
    controls = report["controls"]
    assert controls["no_past"] < 0.25
    assert controls["single_frame"] < 0.25
    assert controls["reversed"] > 0.4
    assert controls["shuffled"] < controls["reversed"]
    assert report["calibration"]["temperature"] is None
    assert report["calibration"]["refitted"]["temperature"] < 1


def test_other_classes_need_other_clips() -> None:
    model = TemporalKVQResNetCBAM(depth=18, num_classes=2, d_model=16, num_heads=2, labels=("open", "shut"))
    with pytest.raises(ValueError, match="--data"):
        score_motions(model, samples=4)


def test_any_number_of_past_frames() -> None:
    torch.manual_seed(0)
    model = TemporalKVQResNetCBAM(
        depth=18, num_classes=9, d_model=16, num_heads=2, num_past=1, image_size=32, labels=CAMERA_MOTIONS
    ).eval()
    report = score_motions(model, samples=6, size_px=32, bank_count=8, speeds=(1.0,))
    assert report["streaming"]["max_difference"] < 1e-4
    assert sum(map(sum, report["speeds"]["1"]["confusion"])) == 6
