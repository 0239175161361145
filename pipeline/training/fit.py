"""Trains a model on rendered camera motion: ``python -m pipeline.training.fit --config FILE --out DIR``."""

import json
import math
import time
from pathlib import Path
from typing import Any

import torch

from pipeline.model.checkpoint import load_checkpoint, save_checkpoint
from pipeline.training.evaluate import evaluate
from pipeline.training.fitting import Fitting
from pipeline.training.options import FitOptions
from pipeline.training.progress import Reporter

HELD_OUT_SEED = 1_000_003


def fit(options: FitOptions) -> dict[str, Any]:
    """Trains until the budget is used up, then evaluates the best weights on held-out pictures.

    Writes into ``options.out``: ``model.safetensors`` (the result, with recipe and evaluation in its
    metadata), ``best.safetensors``, ``last.pt``, ``metrics.jsonl`` and ``summary.json``.

    Returns:
        The summary: steps, triplets, rate, validation and held-out evaluation.

    Raises:
        ValueError: options that do not fit, nothing to resume, no pictures.
        FloatingPointError: the loss is no longer finite.
    """
    out = Path(options.out)
    out.mkdir(parents=True, exist_ok=True)
    run = Fitting(options)
    if options.resume:
        run.resume()
    with Reporter(out / "metrics.jsonl") as reporter:
        if options.compile:
            reporter.say(f"compiling for {run.device} ...")
            run.compile(reporter.say)
        with torch.backends.cudnn.flags(enabled=True, benchmark=True):
            _train(run, reporter)
        reporter.say("evaluating on held-out pictures ...")
        summary = _finish(run)
    speeds = {speed: scored["accuracy"] for speed, scored in summary["held_out"]["speeds"].items()}
    reporter.say(f"held out, accuracy by speed: {speeds}; controls: {summary['held_out']['controls']}")
    reporter.say(f"written: {out / 'model.safetensors'}")
    return summary


def _train(run: Fitting, reporter: Reporter) -> None:
    options, losses = run.options, []
    seconds, mark_s, mark_step = run.elapsed_s, time.perf_counter(), run.step
    while run.progress < 1.0:
        losses.append(run.advance())
        run.elapsed_s = seconds + time.perf_counter() - mark_s
        if run.step % options.log_every_steps == 0:
            loss = float(torch.stack(losses).mean())
            if not math.isfinite(loss):
                raise FloatingPointError(f"the loss is {loss} at step {run.step}: lower learning_rate")
            run.elapsed_s = seconds + time.perf_counter() - mark_s
            rate = (run.step - mark_step) * options.batch_size / (run.elapsed_s - seconds)
            reporter.record(
                run.progress,
                step=run.step,
                loss=round(loss, 4),
                learning_rate=run.optimizer.param_groups[0]["lr"],
                triplets_per_s=round(rate, 1),
                elapsed_s=round(run.elapsed_s, 2),
            )
            losses.clear()
        validates = run.step % options.validate_every_steps == 0 or run.progress >= 1.0
        if validates:
            accuracy = run.keep_if_best()
            reporter.record(run.progress, step=run.step, validation_accuracy=round(accuracy, 4))
            reporter.say(f"step {run.step}: validation accuracy {accuracy:.4f}")
        if validates or run.step % options.save_every_steps == 0:
            run.save()
            seconds, mark_s, mark_step = run.elapsed_s, time.perf_counter(), run.step


def _finish(run: Fitting) -> dict[str, Any]:
    options = run.options
    model = load_checkpoint(run.out / "best.safetensors").to(run.device).eval()
    held_out = evaluate(
        model,
        Path(options.held_out) if options.held_out else None,
        samples=options.evaluate_samples,
        size_px=options.size_px,
        seed=options.seed + HELD_OUT_SEED,
        bank_count=options.bank_count,
        scene=run.renderer.scene,
    )
    summary = {
        "steps": run.step,
        "triplets": run.step * options.batch_size,
        "minutes": round(run.elapsed_s / 60, 2),
        "validation_accuracy": round(run.best, 4),
        "device": torch.cuda.get_device_name(run.device) if run.device.type == "cuda" else "cpu",
        "torch": torch.__version__,
        "recipe": options.recipe(),
        "held_out": held_out,
    }
    save_checkpoint(run.out / "model.safetensors", model, metadata=summary)
    (run.out / "summary.json").write_text(json.dumps(summary, indent=2) + "\n", encoding="utf-8")
    return summary


if __name__ == "__main__":
    from pipeline.training.cli import main

    raise SystemExit(main())
