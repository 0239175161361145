"""Scores camera motion against ground-truth flow of static scenes, with a classical fit for comparison."""

from collections.abc import Sequence

import numpy as np
from rich.progress import Progress

from pipeline.base.frame import Image
from pipeline.training.evaluation.camera_sequences import CameraSequence
from pipeline.training.evaluation.metrics import Report
from pipeline.training.evaluation.motion_fields import OpenStream, camera_flow_at, flow_at, open_spaced
from pipeline.training.evaluation.opencv_baselines import fit_similarity, flow_baselines
from pipeline.training.evaluation.truth_files import read_picture
from pipeline.training.progress import watched

_GRID = (slice(2, None, 4), slice(2, None, 4))
_WIDTH_PX = 320


def score_camera(
    open_stream: OpenStream, sequences: Sequence[CameraSequence], progress: Progress | None = None
) -> Report:
    """Scores a network's camera motion and a similarity fitted to DIS.

    Args:
        open_stream: Opens a stream through the network.
        sequences: Sequences of static scenes.
        progress: Shows a bar for each sequence.

    Returns:
        By sequence: ``frames``; median end-point errors over all known positions of all frames, in pixels
        at 320 px width: ``epe`` of the network's camera motion, ``dis_fit_epe`` of the similarity fitted
        to DIS, ``best_fit_epe`` of one fitted to the truth (the error due to depth, which no similarity
        can model), and of the dense flow itself ``flow_epe`` and ``dis_epe``.

    Raises:
        ValueError: A file is missing or damaged.
    """
    return {sequence.name: _score(open_stream, sequence, progress) for sequence in sequences}


def _score(open_stream: OpenStream, sequence: CameraSequence, progress: Progress | None) -> Report:
    dis = flow_baselines()["dis"]
    stream = open_spaced(open_stream, sequence.spacing)
    pictures: dict[int, Image] = {}
    errors: dict[str, list[np.ndarray]] = {}
    numbers = sorted(sequence.frames)
    for number in watched(numbers, progress, sequence.name):
        pictures[number] = picture = read_picture(sequence.frames[number])
        motion = stream(picture)
        if number not in sequence.truth:
            continue
        height, width = picture.shape[:2]
        places = np.stack(np.meshgrid(np.arange(float(width)), np.arange(float(height))), axis=-1)[_GRID]
        truth = sequence.truth[number]
        if truth.shape != places.shape:
            raise ValueError(
                f"{sequence.frames[number]}: true flow has shape {truth.shape}, expected {places.shape}"
            )
        known = ~np.isnan(truth).any(axis=2)
        classical = dis(picture, pictures.pop(number - sequence.spacing))[_GRID]
        found = {
            "epe": camera_flow_at(motion, height, width)[_GRID],
            "dis_fit_epe": fit_similarity(places, classical)(places),
            "best_fit_epe": fit_similarity(places[known], truth[known])(places),
            "flow_epe": flow_at(motion, height, width)[_GRID],
            "dis_epe": classical,
        }
        for name, flow in found.items():
            error = np.linalg.norm(flow - truth, axis=2)[known]
            errors.setdefault(name, []).append(error * _WIDTH_PX / width)
    medians = {name: round(float(np.median(np.concatenate(each))), 4) for name, each in errors.items()}
    return {"frames": len(sequence.truth), **medians}
