"""Scores a model on unseen recorded clips, with controls."""

from collections.abc import Iterable

import torch
from rich.progress import Progress
from torch import Tensor

from pipeline.model.network import TemporalKVQResNetCBAM
from pipeline.training.evaluation.answers import answers, streaming_difference
from pipeline.training.evaluation.calibration import calibrated
from pipeline.training.evaluation.metrics import Report, accuracy, majority, scores
from pipeline.training.progress import watched
from pipeline.training.samples import Clips


def score_clips(
    model: TemporalKVQResNetCBAM, batches: Iterable[Clips], progress: Progress | None = None
) -> Report:
    """Scores a model on recorded clips, with two controls that a model must fail if it compares frames.

    Args:
        model: In evaluation mode, on the device of the clips.
        batches: Windows that were not trained on.
        progress: Shows a bar.

    Returns:
        Number of ``windows`` and of their ``clips``, ``accuracy``, ``macro_f1`` and ``confusion`` over all
        windows, the names of the classes, ``calibration`` (see `calibrated`), ``streaming`` and
        ``controls``: accuracy with all frames replaced by the newest (``single_frame``) and with the
        oldest frame of each window moved to the end (``shuffled``); ``majority_accuracy``: accuracy of
        always predicting the most frequent class.

    Raises:
        ValueError: There are no windows.
    """
    plain: list[Tensor] = []
    single: list[Tensor] = []
    shuffled: list[Tensor] = []
    labels: list[Tensor] = []
    numbers: list[Tensor] = []
    difference = 0.0
    for turn, clips in enumerate(watched(batches, progress, "evaluation batches")):
        for found, frames in (
            (plain, clips.frames),
            (single, clips.frames[:, -1:].expand_as(clips.frames)),
            (shuffled, clips.frames.roll(-1, dims=1)),
        ):
            found.append(answers(model, [clips._replace(frames=frames)])[0])
        labels.append(clips.labels)
        if clips.numbers is not None:
            numbers.append(clips.numbers)
        if turn == 0:
            difference = streaming_difference(model, clips.frames[:8])
    if not labels:
        raise ValueError("there are no clips to score")
    truth, logits = torch.cat(labels), torch.cat(plain)
    of_clips = torch.cat(numbers) if numbers else torch.arange(len(truth), device=truth.device)
    return {
        **scores(truth, logits.argmax(dim=1), len(model.labels), "windows"),
        "clips": len(set(of_clips.tolist())),
        "labels": list(model.labels),
        "majority_accuracy": majority(truth),
        "controls": {
            "single_frame": accuracy(torch.cat(single).argmax(dim=1), truth),
            "shuffled": accuracy(torch.cat(shuffled).argmax(dim=1), truth),
        },
        "calibration": calibrated(model, logits, truth, of_clips),
        "streaming": {"max_difference": difference},
    }
