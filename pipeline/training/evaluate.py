"""How well a model names motions that it never saw, and whether it could be cheating."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from pipeline.model.network import TemporalKVQResNetCBAM
from pipeline.training.motion import LABELS, MotionRenderer, Scene, reverse_label

Report = dict[str, Any]


def scores(labels: Tensor, predicted: Tensor) -> Report:
    """Accuracy, macro-F1 and confusion matrix (rows are the truth) of label indices ``(N,)``."""
    classes = len(LABELS)
    counts = torch.bincount(labels * classes + predicted, minlength=classes * classes).view(classes, classes)
    hits = counts.diagonal().double()
    f1 = 2 * hits / (counts.sum(dim=0) + counts.sum(dim=1)).clamp_min(1)
    return {
        "accuracy": round(float(hits.sum() / counts.sum().clamp_min(1)), 4),
        "macro_f1": round(float(f1.mean()), 4),
        "confusion": counts.tolist(),
    }


@torch.no_grad()
def predict(
    model: TemporalKVQResNetCBAM, frames: Tensor, past: Tensor | None = None, bf16: bool = False
) -> Tensor:
    """Label indices ``(N,)`` of clips ``(N, 3, 3, H, W)``; ``past`` ``(N, 2)``: past frames there are."""
    with torch.autocast(frames.device.type, torch.bfloat16, enabled=bf16):
        logits: Tensor = model(*frames.unbind(dim=1), past_mask=past)[0]
    return logits.float().argmax(dim=1)


def validate(
    model: TemporalKVQResNetCBAM, renderer: MotionRenderer, samples: int, bf16: bool = False
) -> float:
    """Accuracy over the renderer's first ``samples`` triplets; the same ones at each call."""
    renderer.seek(0)
    hits = 0
    for n in _batches(samples):
        frames, labels = renderer.batch(n)
        hits += int((predict(model, frames, bf16=bf16) == labels).sum())
    return hits / samples


def evaluate(
    model: TemporalKVQResNetCBAM,
    pictures: Path | None = None,
    *,
    speeds: Sequence[float] = (0.4, 1.0, 2.0),
    samples: int = 4096,
    size_px: int = 224,
    seed: int = 1_000_003,
    bank_count: int = 256,
    scene: Scene = Scene(),  # noqa: B008 (frozen)
) -> Report:
    """Films pictures with known motions and asks the model, with controls that a cheat would fail.

    Args:
        model: in evaluation mode, on the device to use.
        pictures: folder of photos or video frames never trained on; None draws procedural pictures.
        speeds: factors on the reference speed, each evaluated on its own.
        samples: triplets for each speed and each control.
        size_px: side of the frames.
        seed: of pictures and motions.
        bank_count: cuttings of the pictures.
        scene: disturbances.

    Returns:
        ``speeds`` (scores by factor), ``controls`` (at reference speed), ``streaming`` and what was
        evaluated. The controls: ``no_past`` and ``single_frame`` (the newest frame three times) must
        sit at chance; ``reversed`` is the share of clips played backwards that get the reversed label,
        ``shuffled`` the accuracy on moving clips with their frames in the order t-1, t, t-2; ``one_past``
        what t-1 alone gives.
    """
    device = next(model.parameters()).device
    renderer = MotionRenderer(
        device,
        size_px,
        seed,
        pictures,
        photo_share=1.0,
        bank_count=bank_count,
        redraw_every=0,
        scene=scene,
    )
    report: Report = {
        "pictures": "procedural" if pictures is None else f"{renderer.bank.photo_count} pictures",
        "samples": samples,
        "chance": round(1 / len(LABELS), 4),
        "labels": list(LABELS),
        "speeds": {},
    }
    for speed in speeds:
        truth, answers = [], []
        for n in _batches(samples):
            frames, labels = renderer.batch(n, speed)
            truth.append(labels)
            answers.append(predict(model, frames))
        report["speeds"][f"{speed:g}"] = scores(torch.cat(truth), torch.cat(answers))
    report["controls"] = _controls(model, renderer, samples)
    frames, _ = renderer.batch(8, 1.0)
    report["streaming"] = {"max_difference": streaming_difference(model, frames)}
    return report


def _controls(model: TemporalKVQResNetCBAM, renderer: MotionRenderer, samples: int) -> dict[str, float]:
    hits = dict.fromkeys(("no_past", "single_frame", "one_past", "reversed", "shuffled"), 0)
    moving = 0
    for n in _batches(samples):
        frames, labels = renderer.batch(n, 1.0)
        past = torch.zeros((n, 2), dtype=torch.bool, device=frames.device)
        hits["no_past"] += int((predict(model, frames, past) == labels).sum())
        past[:, 1] = True
        hits["one_past"] += int((predict(model, frames, past) == labels).sum())
        repeated = frames[:, 2:].expand_as(frames)
        hits["single_frame"] += int((predict(model, repeated) == labels).sum())
        hits["reversed"] += int((predict(model, frames.flip(1)) == reverse_label(labels)).sum())
        moves = labels != LABELS.index("static")
        hits["shuffled"] += int((predict(model, frames[:, [1, 2, 0]]) == labels)[moves].sum())
        moving += int(moves.sum())
    return {
        name: round(count / max(moving if name == "shuffled" else samples, 1), 4)
        for name, count in hits.items()
    }


@torch.no_grad()
def streaming_difference(model: TemporalKVQResNetCBAM, frames: Tensor) -> float:
    """Largest difference between the logits of whole clips and those of the same clips frame by frame."""
    with torch.backends.cudnn.flags(enabled=True, allow_tf32=False):
        whole: Tensor = model(*frames.unbind(dim=1))[0]
        state = model.init_state(len(frames), (frames.shape[-2], frames.shape[-1]))
        for frame in frames.unbind(dim=1):
            output, state = model.step(frame, state)
    return float((output.logits - whole).abs().max())


def _batches(samples: int, most: int = 256) -> list[int]:
    return [most] * (samples // most) + ([samples % most] if samples % most else [])
