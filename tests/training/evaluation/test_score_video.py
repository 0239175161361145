import io
import json
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from rich.console import Console, RenderableType
from torch import Tensor, nn

from pipeline.base.camera_motions import CAMERA_MOTIONS
from pipeline.base.frame import Image
from pipeline.model.network import TemporalKVQResNetCBAM
from pipeline.model.preprocessing import IMAGENET_MEAN, IMAGENET_STD
from pipeline.training.evaluation.footage import Footage
from pipeline.training.evaluation.global_motion import estimate_motion, name_clip, small_grey
from pipeline.training.evaluation.score_video import camera_motions, score_video
from pipeline.training.evaluation.tables import confusions, render_evaluation
from tests.training.evaluation.test_footage import write_film
from tests.training.evaluation.test_global_motion import wallpaper


class Classical(TemporalKVQResNetCBAM):
    """The network's interface over the classical estimate, which sees squares as pictures of 4 by 3.

    What it is unsure of, it calls static.
    """

    def __init__(self, labels: tuple[str, ...] = CAMERA_MOTIONS) -> None:
        super().__init__(depth=18, num_classes=9, d_model=16, num_heads=1, image_size=128, labels=labels)
        self.eval()

    def forward(self, *frames: Tensor, past_mask: Tensor | None = None) -> tuple[Tensor, dict[str, Tensor]]:
        mean, std = (torch.tensor(x).view(3, 1, 1) for x in (IMAGENET_MEAN, IMAGENET_STD))
        pixels = ((torch.stack(frames, dim=1) * std + mean) * 255).round().byte()
        names = [self._name(clip) for clip in pixels.permute(0, 1, 3, 4, 2).numpy()]
        return nn.functional.one_hot(torch.tensor([self.labels.index(n) for n in names]), 9).float(), {}

    @staticmethod
    def _name(clip: np.ndarray) -> str:
        greys = [small_grey(cv2.resize(square[..., ::-1], (320, 240))) for square in clip]
        return (
            name_clip([estimate_motion(greys[0], greys[1]), estimate_motion(greys[1], greys[2])]) or "static"
        )


def shown(renderable: RenderableType) -> str:
    console = Console(file=io.StringIO(), width=120, force_terminal=False)
    console.print(renderable)
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue()


def panned(shifts_px: list[int]) -> list[Image]:
    """A camera of 320 x 240 pixels at these places along a wallpaper."""
    wall = cv2.resize(wallpaper(), (640, 480), interpolation=cv2.INTER_AREA)
    return [wall[100:340, 100 + shift : 420 + shift].copy() for shift in shifts_px]


def test_the_truth_of_a_camera_that_stands_then_pans(tmp_path: Path) -> None:
    film = write_film(tmp_path / "a.avi", panned([0, 0, 0, 0, 0, 16, 32, 48, 64]))
    truth = [name_clip(motions) for motions in camera_motions(Footage(film, 2, 100))]
    assert truth == ["static", "static", "static", None, "pan_right", "pan_right", "pan_right"]
    slow = write_film(tmp_path / "b.avi", panned([0, 2, 4, 6]))
    assert [name_clip(motions) for motions in camera_motions(Footage(slow, 2, 100))] == [None, None]


def test_a_moving_camera_is_scored_where_it_is_sure(tmp_path: Path) -> None:
    film = write_film(tmp_path / "a.avi", panned([0, 0, 0, 0, 0, 16, 32, 48, 64]))
    report = score_video(Classical(), film, samples=2, speeds=(1.0,))
    assert report["truth"]["windows"] == 7
    assert (report["truth"]["unsure"], report["truth"]["static"], report["truth"]["pan_right"]) == (1, 3, 3)
    confusion = report["as_it_is"]["confusion"]
    static, right = CAMERA_MOTIONS.index("static"), CAMERA_MOTIONS.index("pan_right")
    assert confusion[static][static] == confusion[right][right] == 2
    assert report["as_it_is"]["windows"] == 4
    assert report["still"] is None
    assert report["virtual_camera"]["windows"] == 3


def test_a_still_camera_watches_and_a_virtual_one_moves(tmp_path: Path) -> None:
    pictures = panned([0] * 8)
    for number, picture in enumerate(pictures):
        cv2.circle(picture, (60 + 12 * number, 120), 20, (40, 40, 220), -1)
    labels = CAMERA_MOTIONS[::-1]
    report = score_video(Classical(labels), write_film(tmp_path / "a.avi", pictures), samples=27, speeds=(1,))
    assert report["still"] == {"windows": 6, "static_share": 1.0}
    filmed = report["virtual_camera"]["speeds"]["1"]
    assert report["labels"] == list(labels)
    assert [sum(row) for row in filmed["confusion"]] == [3] * 9
    assert filmed["macro_f1"] > 0.9
    json.dumps(report)

    metrics = {"labels": list(labels), "videos": [report, report]}
    doubled = [[2 * count for count in row] for row in filmed["confusion"]]
    assert confusions(metrics)["virtual camera at 1x"] == doubled
    text = shown(render_evaluation(metrics))
    assert "a.avi" in text
    assert "100.0%" in text
    assert "9 static" in text
    assert "except for a.avi, a.avi: the camera never moves" in " ".join(text.split())


def test_a_camera_that_never_rests_has_no_virtual_one(tmp_path: Path) -> None:
    film = write_film(tmp_path / "a.avi", panned([0, 16, 32, 48, 64]))
    report = score_video(Classical(), film, samples=4, speeds=(1.0,))
    assert report["virtual_camera"] is None
    assert report["as_it_is"]["accuracy"] == 1.0
    assert "pan_right" in shown(render_evaluation({"labels": list(CAMERA_MOTIONS), "videos": [report]}))


def test_nothing_to_follow_leaves_nothing_to_score(tmp_path: Path) -> None:
    blank = write_film(tmp_path / "a.avi", [np.full((240, 320, 3), 90, np.uint8)] * 5)
    report = score_video(Classical(), blank, samples=4, speeds=(1.0,))
    assert (report["as_it_is"], report["virtual_camera"], report["truth"]["unsure"]) == (None, None, 3)
    assert "a.avi" in shown(render_evaluation({"labels": list(CAMERA_MOTIONS), "videos": [report]}))


def test_other_classes_have_no_truth_in_a_video(tmp_path: Path) -> None:
    model = TemporalKVQResNetCBAM(depth=18, num_classes=2, d_model=16, num_heads=2, labels=("open", "shut"))
    with pytest.raises(ValueError, match="--data"):
        score_video(model, tmp_path / "a.avi")
