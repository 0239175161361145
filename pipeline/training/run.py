"""Trains a model: ``python -m pipeline.training.run --config FILE --out DIR``; torchrun for several GPUs."""

import math
import time
from pathlib import Path
from typing import Any

import torch

from pipeline.base.errors import UserError
from pipeline.training.curves import MISSING, draw_curves
from pipeline.training.finish import described, finish
from pipeline.training.initial_weights import keeps_classifier
from pipeline.training.options import FitOptions
from pipeline.training.parallel import Ranks, joined
from pipeline.training.progress import Reporter
from pipeline.training.run_files import full_disk_explained
from pipeline.training.trainer import Fitting


def fit(options: FitOptions) -> dict[str, Any]:
    """Trains until the budget is used up or nothing gets better, then evaluates the best weights.

    Writes into ``options.out``: ``model.safetensors`` (the result, with recipe and evaluation in its
    metadata), ``best.safetensors``, ``last.pt``, ``metrics.jsonl``, ``curves.png`` and ``summary.json``.

    Returns:
        The summary: steps, triplets, minutes, best validation accuracy, recipe, held-out evaluation. It is
        empty on the ranks of torchrun that do not lead.

    Raises:
        ValueError: options that do not fit, nothing to resume, an earlier run in ``out``, no pictures.
        UserError: no space is left on the disk, ``last.pt`` stays whole; or none in the GPU's memory.
        FloatingPointError: the loss is no longer finite.
    """
    last = Path(options.out) / "last.pt"
    try:
        with joined(options.device) as ranks, full_disk_explained(last):
            last.parent.mkdir(parents=True, exist_ok=True)
            return _fit(options, ranks)
    except torch.OutOfMemoryError:
        raise UserError(
            f"the GPU's memory does not hold a step of {options.batch_size} clips: lower batch_size, or set "
            "gradient_checkpointing=true"
        ) from None


def _fit(options: FitOptions, ranks: Ranks) -> dict[str, Any]:
    out = Path(options.out)
    if (
        not options.resume
        and ranks.leads
        and any((out / name).exists() for name in ("last.pt", "model.safetensors"))
    ):
        raise ValueError(
            f"{out} holds an earlier run: --resume goes on with it; "
            "or choose another --out, or remove the folder"
        )
    run = Fitting(options, ranks=ranks, say=print if ranks.leads else _silence)
    if options.resume:
        run.resume()
    title = f"training, to {run.out}"
    with Reporter(
        run.out / "metrics.jsonl", title=title, from_step=run.step, quiet=not ranks.leads
    ) as reporter:
        _introduce(run, reporter)
        run.start(reporter.say)
        try:
            with torch.backends.cudnn.flags(enabled=True, benchmark=True):
                _train(run, reporter)
        except KeyboardInterrupt:
            kept = (
                "--resume goes on from the last save"
                if (run.out / "last.pt").exists()
                else "nothing saved yet"
            )
            reporter.say(f"stopped at step {run.step}: {kept}")
            raise
        if not ranks.leads:
            return {}
        reporter.say(f"evaluating the weights of step {run.best_step} on clips that were held out ...")
        summary = finish(run)
        if not draw_curves(run.out / "metrics.jsonl", run.out / "curves.png"):
            reporter.say(MISSING)
        for line in described(summary, run.out / "model.safetensors"):
            reporter.say(line)
    return summary


def _introduce(run: Fitting, reporter: Reporter) -> None:
    options = run.options
    limits = [f"{options.steps} steps"] * bool(options.steps) + [f"{options.minutes:g} min"] * bool(
        options.minutes
    )
    start = f"the weights of {options.init}" if options.init else "random weights"
    if run.step:
        start = f"step {run.step} of the run before"
    elif options.init:
        start += "" if keeps_classifier(options, run.labels) else ", with a new classifier"
    fixed = ", batch-norm fixed" if options.freeze_batch_norm else ""
    backbone = f", the backbone at {options.backbone_rate:g} of that" if options.backbone_rate != 1 else ""
    reporter.say(
        f"ResNet-{options.depth}, {options.num_past} past frames of {options.size_px} px, "
        f"{len(run.labels)} classes ({', '.join(run.labels)})"
    )
    reporter.say(
        f"from {start}; {' or '.join(limits)} of {options.batch_size} clips, {run.precision} on {run.device}"
    )
    reporter.say(f"learning rate {options.learning_rate:g}{backbone}{fixed}")


def _train(run: Fitting, reporter: Reporter) -> None:
    options = run.options
    seconds, mark_s, mark_step = run.elapsed_s, time.perf_counter(), run.step
    while run.progress < 1.0 and not run.stopped_early:
        run.advance()
        figures = _mean_of_pending(run) if run.step % options.log_every_steps == 0 else None
        run.elapsed_s = seconds + time.perf_counter() - mark_s
        if options.minutes:
            (run.elapsed_s,) = run.ranks.agree(run.elapsed_s)
        if figures is not None:
            rate = (run.step - mark_step) * options.batch_size / (run.elapsed_s - seconds)
            reporter.record(
                run.progress,
                step=run.step,
                loss=round(figures[0], 4),
                accuracy=round(figures[1], 4),
                learning_rate=run.optimizer.param_groups[0]["lr"],
                triplets_per_s=round(rate, 1),
                elapsed_s=round(run.elapsed_s, 2),
            )
        validates = run.step % options.validate_every_steps == 0 or run.progress >= 1.0
        if validates:
            found = run.validate()
            reporter.record(
                run.progress, step=run.step, validation_accuracy=round(found, 4), best=round(run.best, 4)
            )
            reporter.say(
                f"step {run.step}: validation accuracy {found:.4f}, best {run.best:.4f} at {run.best_step}"
            )
        if validates or run.step % options.save_every_steps == 0:
            run.save()
            if validates and run.ranks.leads:
                draw_curves(run.out / "metrics.jsonl", run.out / "curves.png")
            seconds, mark_s, mark_step = run.elapsed_s, time.perf_counter(), run.step
    if run.stopped_early:
        reporter.say(f"no better validation since step {run.best_step}: stopped at step {run.step}")


def _mean_of_pending(run: Fitting) -> tuple[float, float]:
    """Loss and accuracy over the steps since the last call, over all ranks.

    Raises:
        FloatingPointError: no finite loss.
    """
    figures = torch.stack(run.pending)
    run.pending.clear()
    if run.precision == "fp16":  # a step that overflowed is left out by the scaler, and here
        figures = figures[figures[:, 0].isfinite()]
    loss, accuracy = run.ranks.mean(*figures.mean(dim=0).tolist())
    if not math.isfinite(loss):
        raise FloatingPointError(f"the loss is {loss} at step {run.step}: lower learning_rate")
    return loss, accuracy


def _silence(_: str) -> None:
    """What ranks say that do not lead."""


if __name__ == "__main__":
    from pipeline.training.train_command import main

    raise SystemExit(main())
