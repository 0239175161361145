"""The shipped checkpoint, through the whole runtime, on pictures drawn here."""

import cv2
import numpy as np
import pytest

from pipeline.model.checkpoint import load_checkpoint
from pipeline.runtime.base import Runtime
from pipeline.runtime.open_torch import open_torch
from pipeline.runtime.runtime_options import Options
from pipeline.runtime.step import Image
from pipeline.view.attention_maps import motion_field, unfold
from pipeline.view.attention_overlay import LEAST_CONFIDENCE
from pipeline.wire.messages import AttentionHeader

SCENE = 900
CAMERA = {  # what the content does from one frame to the next: shift in px, scale, turn in degrees
    "static": ((0, 0), 1.0, 0),
    "pan_right": ((-30, 0), 1.0, 0),
    "pan_left": ((30, 0), 1.0, 0),
    "tilt_up": ((0, 30), 1.0, 0),
    "tilt_down": ((0, -30), 1.0, 0),
    "zoom_in": ((0, 0), 1.1, 0),
    "zoom_out": ((0, 0), 1 / 1.1, 0),
    "roll_cw": ((0, 0), 1.0, 6),
    "roll_ccw": ((0, 0), 1.0, -6),
}


def scene(seed: int) -> Image:
    """Coloured discs of all sizes, one over the other."""
    rng = np.random.default_rng(seed)
    picture = np.full((SCENE, SCENE, 3), 128, np.uint8)
    for radius in np.sort(rng.uniform(8, 110, 700))[::-1]:
        centre = rng.integers(0, SCENE, 2).tolist()
        cv2.circle(picture, centre, int(radius), rng.integers(0, 256, 3).tolist(), -1, cv2.LINE_AA)
    return cv2.GaussianBlur(picture, (0, 0), 1.2)


def clip(picture: Image, label: str) -> list[Image]:
    """Three frames of 480 px around the scene's centre, all of them resampled."""
    (x, y), scale, turn = CAMERA[label]
    frames = []
    for step in (-1, 0, 1):
        warp = cv2.getRotationMatrix2D((SCENE / 2, SCENE / 2), turn * step, scale**step)
        warp[:, 2] += np.array([x, y]) * step + 240.5 - SCENE / 2
        frames.append(cv2.warpAffine(picture, warp, (480, 480), flags=cv2.INTER_CUBIC))
    return frames


@pytest.fixture(scope="module")
def runtime() -> Runtime:
    return open_torch(load_checkpoint("motion_resnet18"), Options(device="cpu"))


def predict(runtime: Runtime, clips: list[list[Image]]) -> list[str]:
    entries = [[None] * runtime.num_past for _ in clips]
    for frames in zip(*clips, strict=True):
        step = runtime.infer(frames, entries)
        entries = [[*past[1:], new.entry] for past, new in zip(entries, step.remember(), strict=True)]
    return [runtime.labels[result.probabilities.argmax()] for result in step.results]


def test_it_names_what_the_camera_does(runtime: Runtime) -> None:
    wanted = list(CAMERA) * 3
    clips = [clip(scene(n // len(CAMERA)), label) for n, label in enumerate(wanted)]
    found = predict(runtime, clips)
    right = sum(a == b for a, b in zip(found, wanted, strict=True))
    assert right >= 0.9 * len(wanted), list(zip(wanted, found, strict=True))


def test_backwards_it_names_the_opposite(runtime: Runtime) -> None:
    opposite = {"pan_right": "pan_left", "tilt_up": "tilt_down", "zoom_in": "zoom_out", "roll_cw": "roll_ccw"}
    found = predict(runtime, [clip(scene(7), label)[::-1] for label in opposite])
    assert found == list(opposite.values())


def test_one_frame_alone_says_nothing(runtime: Runtime) -> None:
    """The same frame with no past gets the same answer whatever the camera did."""
    frames = [clip(scene(3), label)[1] for label in CAMERA]
    results = runtime.infer(frames, [[None, None]] * len(frames)).results
    assert len({runtime.labels[result.probabilities.argmax()] for result in results}) <= 2
    assert max(result.probabilities.max() for result in results) < 0.6


def arrows(runtime: Runtime, frames: list[Image]) -> int:
    """How many of the 36 places are drawn with an arrow after a clip."""
    past = [None] * runtime.num_past
    for frame in frames:
        step = runtime.infer([frame], [past], want_attention=True)
        past = [*past[1:], step.remember()[0].entry]
    attention = step.results[0].attention
    assert attention is not None
    rows, columns = step.results[0].grid
    header = AttentionHeader(rows, columns, runtime.num_past, rows, columns)
    field = motion_field(unfold(header, attention), slot=-2)
    return int((field.moving & (field.confidence >= LEAST_CONFIDENCE)).sum())


def test_a_still_camera_looks_still_and_a_moving_one_keeps_its_arrows(runtime: Runtime) -> None:
    rng = np.random.default_rng(5)
    drawn: dict[str, list[int]] = {}
    for label in CAMERA:
        for seed in (7, 8, 9):
            clean = clip(scene(seed), label)
            noise = [rng.normal(0, 4, frame.shape) for frame in clean]
            frames = [
                np.clip(one + more, 0, 255).astype(np.uint8) for one, more in zip(clean, noise, strict=True)
            ]
            drawn.setdefault(label, []).append(arrows(runtime, frames))
    assert max(drawn.pop("static")) == 0, "arrows at the border would look like a zoom"
    assert min(min(counts) for counts in drawn.values()) >= 12, drawn
