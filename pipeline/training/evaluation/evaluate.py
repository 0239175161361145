"""How well a model names what it never saw, and whether it could be cheating."""

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import cast

import torch
from torch import Tensor, nn

from pipeline.model.network import TemporalKVQResNetCBAM
from pipeline.training.evaluation.answers import accuracy, answers
from pipeline.training.evaluation.calibration import fit_temperature
from pipeline.training.evaluation.metrics import Report, calibration, scores
from pipeline.training.rendered.renderer import LABELS, MotionRenderer, Scene, reverse_label
from pipeline.training.samples import Clips


def evaluate(
    model: nn.Module,
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
        model: in evaluation mode, on the device to use; anything that takes clips as our network does and
            has ``num_past``.
        pictures: folder of photos or video frames never trained on; None draws procedural pictures.
        speeds: factors on the reference speed, each evaluated on its own.
        samples: clips for each speed and each control.
        size_px: side of the frames.
        seed: of pictures and motions.
        bank_count: cuttings of the pictures.
        scene: disturbances.

    Returns:
        ``speeds`` (scores by factor), ``controls`` (at reference speed), ``calibration`` (over all speeds,
        see `calibrated`), ``streaming`` and what was evaluated. The controls: ``no_past`` and
        ``single_frame`` (the newest frame in place of all) must sit at chance; ``reversed`` is the share of
        clips played backwards that get the reversed label, ``shuffled`` the accuracy on moving clips with
        their frames in the order t-1 ... t, t-T; ``one_past`` what t-1 alone gives.

    Raises:
        ValueError: no pictures in the folder, or a model with other classes.
    """
    if tuple(getattr(model, "labels", LABELS)) != LABELS:
        raise ValueError(
            f"the model's classes are not the {len(LABELS)} camera motions: give clips of its own with --data"
        )
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
    report: Report = {
        "pictures": "procedural" if pictures is None else f"{renderer.bank.photo_count} pictures",
        "samples": samples,
        "chance": round(1 / len(LABELS), 4),
        "labels": list(LABELS),
        "speeds": {},
    }
    found = []
    for speed in speeds:
        logits, labels = answers(model, (renderer.clips(n, speed) for n in _batches(samples)))
        report["speeds"][f"{speed:g}"] = scores(labels, logits.argmax(dim=1), len(LABELS))
        found.append((logits, labels))
    report["controls"] = _controls(model, renderer, samples)
    report["calibration"] = calibrated(model, *(torch.cat(part) for part in zip(*found, strict=True)))
    if isinstance(model, TemporalKVQResNetCBAM):
        report["streaming"] = {"max_difference": streaming_difference(model, renderer.clips(8, 1.0).frames)}
    return report


def score_recorded(model: TemporalKVQResNetCBAM, batches: Iterable[Clips]) -> Report:
    """Scores on recorded clips, with two controls that a model which compares frames must fail.

    Args:
        model: in evaluation mode, on the device of the clips.
        batches: windows that were not trained on.

    Returns:
        Number of ``windows`` and of the ``clips`` that they are of, accuracy, macro-F1 and confusion over all
        windows, the names of the classes, ``calibration`` (see
        `calibrated`), ``streaming`` and ``controls``: accuracy with the newest frame in place of all
        (``single_frame``) and with each window's frames in the order t-1 ... t, t-T (``shuffled``);
        ``largest_class``: what the most frequent answer would get.

    Raises:
        ValueError: there are no windows.
    """
    plain: list[Tensor] = []
    single: list[Tensor] = []
    shuffled: list[Tensor] = []
    labels: list[Tensor] = []
    numbers: list[Tensor] = []
    difference = 0.0
    for turn, clips in enumerate(batches):
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
        "largest_class": round(float(truth.bincount().max()) / len(truth), 4),
        "controls": {
            "single_frame": round(accuracy(torch.cat(single), truth), 4),
            "shuffled": round(accuracy(torch.cat(shuffled), truth), 4),
        },
        "calibration": calibrated(model, logits, truth, of_clips),
        "streaming": {"max_difference": difference},
    }


def calibrated(model: nn.Module, logits: Tensor, labels: Tensor, numbers: Tensor | None = None) -> Report:
    """What the scores of a model are worth, and what a temperature could still mend.

    Args:
        model: the network that gave the logits.
        logits: ``(N, classes)``.
        labels: the truth ``(N,)``.
        numbers: of the clip that each is a window of ``(N,)``; None: each is a clip of its own.

    Returns:
        Expected calibration error and negative log likelihood as the model is; ``temperature`` that has
        been folded into it (None: it was never calibrated); ``refitted``: a temperature fitted on every
        second clip of each class, and the error that it leaves on the others, if there are any.
    """
    report: Report = calibration(logits, labels)
    report["temperature"] = getattr(model, "metadata", {}).get("temperature")
    numbers = torch.arange(len(labels), device=labels.device) if numbers is None else numbers
    fitted = _every_second_clip(labels, numbers)
    if not fitted.all():
        temperature = fit_temperature(logits[fitted], labels[fitted])
        others = calibration(logits[~fitted] / temperature, labels[~fitted])
        report["refitted"] = {"temperature": round(temperature, 4), **others}
    return report


def _every_second_clip(labels: Tensor, numbers: Tensor) -> Tensor:
    """Which windows ``(N,)`` are of the first, third, fifth ... clip of their class."""
    chosen = torch.zeros_like(labels, dtype=torch.bool)
    for label in set(labels.tolist()):
        of_class = labels == label
        order = sorted(set(numbers[of_class].tolist()))
        chosen |= of_class & torch.isin(numbers, torch.tensor(order[::2], device=numbers.device))
    return chosen


@torch.no_grad()
def streaming_difference(model: TemporalKVQResNetCBAM, frames: Tensor) -> float:
    """Largest difference between the logits of whole clips and those of the same clips frame by frame."""
    with torch.backends.cudnn.flags(enabled=True, allow_tf32=False):
        whole: Tensor = model(*frames.unbind(dim=1))[0]
        state = model.init_state(len(frames), (frames.shape[-2], frames.shape[-1]))
        for frame in frames.unbind(dim=1):
            output, state = model.step(frame, state)
    return float((output.logits - whole).abs().max())


def _controls(model: nn.Module, renderer: MotionRenderer, samples: int) -> dict[str, float]:
    hits = dict.fromkeys(("no_past", "single_frame", "one_past", "reversed", "shuffled"), 0)
    moving = 0

    def right(clips: Clips) -> Tensor:
        logits, labels = answers(model, [clips])
        return logits.argmax(dim=1) == labels

    for n in _batches(samples):
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
        moves = labels != LABELS.index("static")
        hits["shuffled"] += int(right(clips._replace(frames=frames.roll(-1, dims=1)))[moves].sum())
        moving += int(moves.sum())
    return {
        name: round(count / max(moving if name == "shuffled" else samples, 1), 4)
        for name, count in hits.items()
    }


def _batches(samples: int, most: int = 64) -> Iterator[int]:
    for start in range(0, samples, most):
        yield min(most, samples - start)
