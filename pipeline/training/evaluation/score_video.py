"""Scores a model on real video: against a classical estimate, and with a virtual moving camera."""

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from itertools import pairwise
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from rich.progress import Progress

from pipeline.base.camera_motions import CAMERA_MOTIONS
from pipeline.base.frame import Image
from pipeline.base.stretch import stretch
from pipeline.model.network import TemporalKVQResNetCBAM
from pipeline.model.preprocessing import Size
from pipeline.training.evaluation.answers import answers
from pipeline.training.evaluation.footage import Footage
from pipeline.training.evaluation.global_motion import (
    CameraMotion,
    Grey,
    at_rest,
    estimate_motion,
    name_clip,
    small_grey,
)
from pipeline.training.evaluation.metrics import Report, calibration, scores
from pipeline.training.evaluation.moving_camera import balanced, film
from pipeline.training.progress import watched
from pipeline.training.samples import Clips

_STILL_WINDOWS = 0.9
_BATCH = 32

Windows = npt.NDArray[np.uint8]


def score_video(
    model: TemporalKVQResNetCBAM,
    path: Path,
    *,
    spacing_ms: float = 100.0,
    samples: int = 512,
    speeds: Sequence[float] = (0.4, 1.0, 2.0),
    seed: int = 0,
    most_frames: int = 3000,
    progress: Progress | None = None,
) -> Report:
    """Scores a model on one video file.

    Args:
        model: In evaluation mode, on the device to use, with the nine camera motions as its classes.
        path: The video file.
        spacing_ms: Time between the frames of a window; 0 = consecutive frames.
        samples: Maximum number of unmodified windows of each class, and number of clips of the virtual
            camera for each speed.
        speeds: Speeds of the virtual camera, as multiples of the trained range.
        seed: Random seed of the virtual camera.
        most_frames: Maximum number of frames to use.
        progress: Shows a bar for each part.

    Returns:
        A description of the data, and three sections, each None if the video does not allow it:
        ``as_it_is`` (scores on windows with a reliable classical estimate; ``truth`` counts all windows),
        ``still`` (for a camera that never moves: share of windows predicted as static) and
        ``virtual_camera`` (scores by speed, over windows in which the real camera is at rest).

    Raises:
        ValueError: The video can't be read or is too short, or the model has other classes.
    """
    if set(model.labels) != set(CAMERA_MOTIONS):
        raise ValueError(
            f"{path}: a video has ground truth only for the camera motions, which are not the "
            "model's classes: give labelled clips with --data"
        )
    footage = Footage(path, model.num_past, spacing_ms, most_frames)
    motions = camera_motions(footage, progress)
    truth = [name_clip(clip) for clip in motions]
    counts = Counter(truth)
    unsure = counts.pop(None, 0)
    still = counts.keys() == {"static"} and counts["static"] >= _STILL_WINDOWS * len(truth)
    known = ["static"] * len(truth) if still else truth
    quiet = [i for i, clip in enumerate(motions) if at_rest(clip)]
    as_it_is = _as_it_is(model, footage, known, samples, progress)
    return {
        "file": path.name,
        "frames": footage.frames,
        "cut": footage.cut,
        "size": list(footage.size),
        "spacing_ms": spacing_ms,
        "labels": list(model.labels),
        "truth": {"windows": len(truth), "unsure": unsure, **{name: counts[name] for name in CAMERA_MOTIONS}},
        "as_it_is": as_it_is,
        "still": _still(as_it_is, model.labels.index("static")) if still else None,
        "virtual_camera": _virtual_camera(model, footage, quiet, samples, speeds, seed, progress),
    }


def camera_motions(footage: Footage, progress: Progress | None = None) -> list[list[CameraMotion | None]]:
    """Camera motion between the frames of each window, None where the estimate is unreliable."""
    greys: dict[int, Grey] = {}
    motions: dict[tuple[int, int], CameraMotion | None] = {}
    found = []
    windows = footage.walk(range(len(footage.windows)))
    for index, images in watched(windows, progress, "classical estimate", len(footage.windows)):
        row = footage.windows[index].tolist()
        greys = {number: grey for number, grey in greys.items() if number >= row[0]}
        for number, image in zip(row, images, strict=True):
            if number not in greys:
                greys[number] = small_grey(image)
        for pair in pairwise(row):
            if pair not in motions:
                motions[pair] = estimate_motion(greys[pair[0]], greys[pair[1]])
        found.append([motions[pair] for pair in pairwise(row)])
    return found


def _as_it_is(
    model: TemporalKVQResNetCBAM,
    footage: Footage,
    truth: Sequence[str | None],
    samples: int,
    progress: Progress | None,
) -> Report | None:
    chosen: list[int] = []
    for name in CAMERA_MOTIONS:
        chosen += _spread([i for i, known in enumerate(truth) if known == name], samples)
    chosen.sort()
    width, height = footage.size
    size = model.preprocessing.picture_size(height, width)

    def resized() -> Iterator[tuple[Windows, str]]:
        windows = watched(footage.walk(chosen), progress, "unmodified video", len(chosen))
        for index, images in windows:
            name = truth[index]
            assert name is not None
            yield np.stack([_resized(image, size) for image in images]), name

    return _score(model, resized(), "windows") if chosen else None


def _still(as_it_is: Report | None, static: int) -> Report:
    assert as_it_is is not None
    row = as_it_is["confusion"][static]
    return {"windows": sum(row), "static_share": round(row[static] / sum(row), 4)}


def _virtual_camera(
    model: TemporalKVQResNetCBAM,
    footage: Footage,
    quiet: Sequence[int],
    samples: int,
    speeds: Sequence[float],
    seed: int,
    progress: Progress | None,
) -> Report | None:
    if not quiet:
        return None
    chosen = [quiet[place * len(quiet) // samples] for place in range(samples)]
    labels = balanced(samples, seed)
    width, height = footage.size
    size = model.preprocessing.picture_size(height, width)

    def filmed(speed: float) -> Iterator[tuple[Windows, str]]:
        windows = watched(footage.walk(chosen), progress, f"virtual camera {speed:g}x", samples)
        walk = zip(windows, labels, strict=True)
        for number, ((_, images), label) in enumerate(walk):
            yield film(images, label, speed, size, (seed, number)), label

    return {
        "windows": len(quiet),
        "speeds": {f"{speed:g}": _score(model, filmed(speed)) for speed in speeds},
    }


def _score(
    model: TemporalKVQResNetCBAM, labelled: Iterable[tuple[Windows, str]], counted: str = "clips"
) -> Report:
    logits, labels = answers(model, _batches(model, labelled))
    report = scores(labels, logits.argmax(dim=1), len(model.labels), counted)
    report["calibration"] = calibration(logits, labels)
    return report


def _batches(model: TemporalKVQResNetCBAM, labelled: Iterable[tuple[Windows, str]]) -> Iterator[Clips]:
    device = next(model.parameters()).device

    def clips(held: Sequence[tuple[Windows, str]]) -> Clips:
        pixels = torch.from_numpy(np.stack([windows for windows, _ in held])).to(device)
        frames = pixels.permute(0, 1, 4, 2, 3).float() / 255
        return Clips(frames, torch.tensor([model.labels.index(name) for _, name in held], device=device))

    held: list[tuple[Windows, str]] = []
    for pair in labelled:
        held.append(pair)
        if len(held) == _BATCH:
            yield clips(held)
            held = []
    if held:
        yield clips(held)


def _resized(image: Image, size: Size) -> Windows:
    resized = np.empty((*size, 3), np.uint8)
    stretch(image, resized)
    return resized


def _spread(indices: Sequence[int], most: int) -> list[int]:
    """At most ``most`` of the indices, evenly spaced."""
    count = min(len(indices), most)
    return [indices[place * len(indices) // count] for place in range(count)]
