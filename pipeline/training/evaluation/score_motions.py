"""Scores a model on camera motions over unseen images, with controls."""

from collections.abc import Sequence
from pathlib import Path
from typing import cast

import torch
from rich.progress import Progress
from torch import Tensor, nn

from pipeline.base.camera_motions import CAMERA_MOTIONS
from pipeline.model.network import TemporalKVQResNetCBAM
from pipeline.training.evaluation.answers import answers, streaming_difference
from pipeline.training.evaluation.calibration import calibrated
from pipeline.training.evaluation.metrics import Report, majority, scores
from pipeline.training.progress import watched
from pipeline.training.rendered.renderer import USUAL, MotionRenderer, Scene, reverse_label
from pipeline.training.samples import Clips


def score_motions(
    model: nn.Module,
    pictures: Path | None = None,
    *,
    speeds: Sequence[float] = (0.4, 1.0, 2.0),
    samples: int = 4096,
    size_px: int = 224,
    seed: int = 1_000_003,
    bank_count: int = 256,
    scene: Scene = USUAL,
    progress: Progress | None = None,
) -> Report:
    """Scores a model on rendered clips with known motions, with controls that detect shortcuts.

    Args:
        model: In evaluation mode, on the device to use; any module with our network's call signature and
            ``num_past``.
        pictures: Folder of photos or video frames never trained on; None draws procedural images.
        speeds: Multiples of the reference speed, each evaluated separately.
        samples: Clips for each speed and each control.
        size_px: Side of the frames.
        seed: Random seed of images and motions.
        bank_count: Number of crops in the image bank.
        scene: Disturbances.
        progress: Shows a bar for each speed and one for the controls.

    Returns:
        ``accuracy``, ``macro_f1`` and ``majority_accuracy`` (always predicting the most frequent class)
        over all speeds, ``speeds`` (scores by factor), ``controls`` (accuracy at reference speed),
        ``calibration`` (over all speeds, see `calibrated`), ``streaming`` and what was scored. The controls:
        ``no_past`` and ``single_frame`` (all frames replaced by the newest) must be at chance level;
        ``reversed`` is the share of clips played backwards that get the reversed label, ``shuffled`` the
        accuracy on moving clips with the oldest frame moved to the end; ``one_past`` the accuracy with only
        t-1.

    Raises:
        ValueError: The folder has no images, or the model has other classes.
    """
    if tuple(getattr(model, "labels", CAMERA_MOTIONS)) != CAMERA_MOTIONS:
        raise ValueError("the model's classes are not the camera motions: give labelled clips with --data")
    num_past = cast(int, model.num_past)
    renderer = MotionRenderer(
        next(model.parameters()).device,
        size_px,
        seed,
        pictures,
        num_past=num_past,
        photo_share=1.0,
        bank_count=bank_count,
        redraw_every=0,
        scene=scene,
    )
    by_speed: dict[str, Report] = {}
    found = []
    for speed in speeds:
        counts = watched(_batches(samples), progress, f"speed {speed:g}x")
        logits, labels = answers(model, (renderer.clips(n, speed) for n in counts))
        by_speed[f"{speed:g}"] = scores(labels, logits.argmax(dim=1), len(CAMERA_MOTIONS))
        found.append((logits, labels))
    logits, labels = (torch.cat(part) for part in zip(*found, strict=True))
    overall = scores(labels, logits.argmax(dim=1), len(CAMERA_MOTIONS))
    report: Report = {
        "pictures": "procedural" if pictures is None else f"{renderer.bank.photo_count} pictures",
        "samples": samples,
        "labels": list(CAMERA_MOTIONS),
        "clips": overall["clips"],
        "accuracy": overall["accuracy"],
        "macro_f1": overall["macro_f1"],
        "majority_accuracy": majority(labels),
        "speeds": by_speed,
        "controls": _controls(model, renderer, samples, progress),
        "calibration": calibrated(model, logits, labels),
    }
    if isinstance(model, TemporalKVQResNetCBAM):
        report["streaming"] = {"max_difference": streaming_difference(model, renderer.clips(8, 1.0).frames)}
    return report


def _controls(
    model: nn.Module, renderer: MotionRenderer, samples: int, progress: Progress | None
) -> dict[str, float]:
    hits = dict.fromkeys(("no_past", "single_frame", "one_past", "reversed", "shuffled"), 0)
    moving = 0

    def right(clips: Clips) -> Tensor:
        logits, labels = answers(model, [clips])
        return logits.argmax(dim=1) == labels

    for n in watched(_batches(samples), progress, "controls"):
        clips = renderer.clips(n, 1.0)
        frames, labels = clips.frames, clips.labels
        past = torch.zeros((n, renderer.num_past), dtype=torch.bool, device=frames.device)
        hits["no_past"] += int(right(clips._replace(present=past)).sum())
        newest = torch.cat((past[:, 1:], ~past[:, :1]), dim=1)
        hits["one_past"] += int(right(clips._replace(present=newest)).sum())
        repeated = frames[:, -1:].expand_as(frames)
        hits["single_frame"] += int(right(clips._replace(frames=repeated)).sum())
        backwards = clips._replace(frames=frames.flip(1), labels=reverse_label(labels))
        hits["reversed"] += int(right(backwards).sum())
        moves = labels != CAMERA_MOTIONS.index("static")
        hits["shuffled"] += int(right(clips._replace(frames=frames.roll(-1, dims=1)))[moves].sum())
        moving += int(moves.sum())
    return {
        name: round(count / max(moving if name == "shuffled" else samples, 1), 4)
        for name, count in hits.items()
    }


def _batches(samples: int, most: int = 64) -> list[int]:
    return [min(most, samples - start) for start in range(0, samples, most)]
