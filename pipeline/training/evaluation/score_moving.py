"""Scores masks of moving objects against ground truth, with a background model as the baseline."""

from collections import deque
from collections.abc import Sequence
from functools import lru_cache

import numpy as np
from rich.progress import Progress

from pipeline.base.frame import Image
from pipeline.training.evaluation.mask_sequences import Mask, MaskSequence
from pipeline.training.evaluation.metrics import Report
from pipeline.training.evaluation.motion_fields import OpenStream, flow_at, moving_at, open_spaced
from pipeline.training.evaluation.opencv_baselines import BackgroundModel, flow_baselines
from pipeline.training.evaluation.score_speed import SpeedScore
from pipeline.training.evaluation.truth_files import read_picture
from pipeline.training.progress import watched

_SPACING = 2  # the network sees t-4, t-2 and t


class MaskScore:
    """Counts of one sequence: pixels over all frames, and the overlap of each frame."""

    def __init__(self) -> None:
        """Starts empty."""
        self._hits = self._false = self._missed = 0
        self._overlaps: list[float] = []

    def add(self, found: Mask, truth: Mask, judged: Mask) -> None:
        """Adds one frame; if nothing moves and nothing is found, its overlap is 1."""
        hits = int((found & truth & judged).sum())
        false, missed = int((found & ~truth & judged).sum()), int((~found & truth & judged).sum())
        self._hits, self._false, self._missed = self._hits + hits, self._false + false, self._missed + missed
        union = hits + false + missed
        self._overlaps.append(hits / union if union else 1.0)

    def report(self, prefix: str = "") -> Report:
        """``f``, ``precision`` and ``recall`` of pixels over all frames; ``j``: mean overlap per frame."""
        hits, false, missed = self._hits, self._false, self._missed
        found = {
            "f": _ratio(2 * hits, 2 * hits + false + missed),
            "precision": _ratio(hits, hits + false),
            "recall": _ratio(hits, hits + missed),
            "j": float(np.mean(self._overlaps)) if self._overlaps else 0.0,
        }
        return {prefix + name: round(value, 4) for name, value in found.items()}


def score_moving(
    open_stream: OpenStream, sequences: Sequence[MaskSequence], progress: Progress | None = None
) -> Report:
    """Scores a network and MOG2 on sequences.

    A frame is scored if it has a mask and two past frames. MOG2 sees all frames before it.

    Args:
        open_stream: Opens a stream through the network.
        sequences: Sequences with ground-truth masks.
        progress: Shows a bar for each sequence.

    Returns:
        By sequence: ``kind``, number of scored ``frames``, ``f``, ``precision``, ``recall``, ``j``, and the
        same for the baseline with the prefix ``mog2_``. If all moving objects are labelled, also the errors
        of their velocity and those of DIS, see `SpeedScore.report`.

    Raises:
        ValueError: A file is missing or damaged, or no frame can be scored.
    """
    return {sequence.name: _score(open_stream, sequence, progress) for sequence in sequences}


def _score(open_stream: OpenStream, sequence: MaskSequence, progress: Progress | None) -> Report:
    first = 2 * _SPACING
    judged_frames = [index for index in sorted(sequence.masks) if index >= first]
    if not judged_frames:
        raise ValueError(f"{sequence.name}: too short: a scored frame needs {first} frames before it")
    needed = judged_frames[0] - first
    stream = open_spaced(open_stream, _SPACING)
    background, score, baseline = BackgroundModel(), MaskScore(), MaskScore()
    speed, dis = SpeedScore(), flow_baselines()["dis"]
    truth_of = lru_cache(_SPACING + 1)(sequence.truth)
    pictures: deque[Image] = deque(maxlen=_SPACING)
    frames = list(enumerate(sequence.frames[: judged_frames[-1] + 1]))
    for index, path in watched(frames, progress, sequence.name, len(frames)):
        picture = read_picture(path)
        moving = background.moving(picture)
        if index < needed:
            continue
        motion = stream(picture)
        if index in sequence.masks and index >= first:
            truth, judged = truth_of(index)
            if truth.shape != picture.shape[:2]:
                raise ValueError(f"{sequence.masks[index]}: size differs from {path}")
            score.add(moving_at(motion, *truth.shape), truth, judged)
            baseline.add(moving, truth, judged)
            if sequence.kind == "cdnet" and index - _SPACING in sequence.masks:
                then, _ = truth_of(index - _SPACING)
                speed.add(truth, then, flow_at(motion, *truth.shape), dis(picture, pictures[0]))
        pictures.append(picture)
    return {
        "kind": sequence.kind,
        "frames": len(judged_frames),
        **score.report(),
        **baseline.report("mog2_"),
        **(speed.report("dis") if sequence.kind == "cdnet" else {}),
    }


def _ratio(part: int, whole: int) -> float:
    return part / whole if whole else 0.0
