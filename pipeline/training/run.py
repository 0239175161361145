"""Trains a model from its options: `fit`, the function behind ``run_stream.py train``."""

import os
from contextlib import suppress
from pathlib import Path
from typing import Any

import torch

from pipeline.base.errors import UserError
from pipeline.base.packages import MissingPackageError, need_extra
from pipeline.training.curves import draw_curves
from pipeline.training.initial_weights import keeps_classifier
from pipeline.training.loop import train
from pipeline.training.outcome import announced, conclude, cut_short, described
from pipeline.training.parallel import Ranks, joined
from pipeline.training.progress import Reporter
from pipeline.training.run_files import full_disk_explained
from pipeline.training.trainer import Trainer
from pipeline.training.training_options import TrainingOptions, is_checkpoint

_DENSE_MOTION_STAYS = "dense motion is frozen; the classifier uses it as input"
_DENSE_MOTION_IS_KEPT = "dense motion is kept close to its initial state; the classifier uses it as input"
_DENSE_MOTION_SUFFERS = (
    "warning: the backbone is trained but dense motion is not, so dense motion gets worse: use the default "
    "keep_motion_weight, or train on layered scenes as well (--set scene_batch_size=8)"
)


def fit(options: TrainingOptions) -> dict[str, Any]:
    """Trains until the budget is used up or validation stops improving, then evaluates the best weights.

    Writes into ``options.out``: ``model.safetensors`` (the result, with recipe and evaluation in its
    metadata), ``best.safetensors``, ``last.pt``, ``metrics.jsonl``, ``curves.png`` and ``summary.json``.

    Returns:
        The summary: whether it ``learned`` and the ``verdict`` as text, steps, clips, minutes, validation,
        recipe, held-out evaluation. It is empty on ranks other than 0.

    Raises:
        ValueError: Invalid options, nothing to resume, an earlier run in ``out``, or missing images.
        UserError: The disk is full (``last.pt`` remains complete), or the GPU is out of memory.
        FloatingPointError: The loss is not finite.
        KeyboardInterrupt: On Ctrl-C, after the run was saved.
        SystemExit: Likewise on SIGTERM.
    """
    last = Path(options.out) / "last.pt"
    try:
        with joined(options.device) as ranks, full_disk_explained(last):
            return _fit(options, ranks)
    except torch.OutOfMemoryError:
        raise UserError(
            f"not enough GPU memory for a step of {options.batch_size} clips: lower batch_size, or set "
            "gradient_checkpointing=true"
        ) from None
    except (UserError, ValueError, FloatingPointError, OSError) as error:
        if rank := int(os.environ.get("RANK", "0")):
            raise UserError(f"rank {rank}: {error}") from error
        raise


def _fit(options: TrainingOptions, ranks: Ranks) -> dict[str, Any]:
    out = Path(options.out)
    if (
        not options.resume
        and ranks.leads
        and any((out / name).exists() for name in ("last.pt", "model.safetensors"))
    ):
        raise ValueError(
            f"{out} contains an earlier run: continue it with --resume, "
            "choose another --out, or remove the folder"
        )
    run = Trainer(options, ranks=ranks, notify=print if ranks.leads else _silence)
    if options.resume:
        run.resume()
    out.mkdir(parents=True, exist_ok=True)  # only now, so that a failed start leaves no empty folder
    title = f"training, to {run.out}"
    with Reporter(
        run.out / "metrics.jsonl",
        title=title,
        from_step=run.step,
        steps=options.steps,
        quiet=not ranks.leads,
    ) as reporter:
        _introduce(run, reporter)
        run.start(reporter.notify)
        train(run, reporter)
        if not ranks.leads:
            return {}
        if stopped := cut_short(run):
            reporter.notify(stopped)
        reporter.notify(announced(run))
        summary = conclude(run, reporter.progress)
        with suppress(MissingPackageError):  # reported at the start
            draw_curves(run.out / "metrics.jsonl", run.out / "curves.png")
        for line in described(summary, run.out / "model.safetensors"):
            reporter.notify(line)
    return summary


def _introduce(run: Trainer, reporter: Reporter) -> None:
    options, model = run.options, run.options.model
    start = f"the weights of {options.init}" if options.init else "random weights"
    if run.step:
        start = f"step {run.step} of the previous run"
    elif options.init:
        start += "" if keeps_classifier(options, run.labels) else ", with a new classifier"
    fixed = ", batch norm frozen" if options.freeze_batch_norm else ""
    backbone = _backbone_text(options.backbone_rate)
    reporter.notify(
        f"ResNet-{model.depth}, {model.num_past} past frames of {model.image_size} px, "
        f"{len(run.labels)} classes ({', '.join(run.labels)})"
    )
    step = f"{options.batch_size} clips"
    if options.scene_batch_size:
        every = f" every {options.clips_every_steps} steps" if options.clips_every_steps > 1 else ""
        step = f"{step}{every} and {options.scene_batch_size} layered scenes"
    budget = f"{options.steps} steps" if options.steps else f"{options.minutes:g} min in steps"
    limit = f", at most {options.minutes:g} min" if options.steps and options.minutes else ""
    reporter.notify(f"from {start}; {budget} of {step}{limit}, {run.precision} on {run.device}")
    reporter.notify(f"learning rate {options.learning_rate:g}{backbone}{fixed}")
    if is_checkpoint(options.init) and options.model.motion and run.scenes is None:
        kept = _DENSE_MOTION_IS_KEPT if options.keep_motion_weight else _DENSE_MOTION_SUFFERS
        reporter.notify(kept if options.backbone_rate else _DENSE_MOTION_STAYS)
    try:
        need_extra("plots")
    except MissingPackageError as error:
        reporter.notify(f"curves.png will not be drawn: {error}")


def _backbone_text(rate: float) -> str:
    if rate == 0:
        return ", backbone frozen"
    return f", the backbone at {rate:g} of that" if rate != 1 else ""


def _silence(_: str) -> None:
    """Discards the messages of ranks other than 0."""
