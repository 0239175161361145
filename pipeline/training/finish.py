"""The end of a run: the best weights are calibrated, scored on clips never trained on, and written."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch

from pipeline.model.checkpoint import load_checkpoint, save_checkpoint
from pipeline.training.clip_sources import scene
from pipeline.training.evaluation.answers import answers
from pipeline.training.evaluation.calibration import calibrate
from pipeline.training.evaluation.evaluate import evaluate, score_recorded
from pipeline.training.evaluation.metrics import Report
from pipeline.training.trainer import Fitting

HELD_OUT_SEED = 1_000_003


def finish(run: Fitting) -> dict[str, Any]:
    """Scores the best weights; writes ``model.safetensors`` and ``summary.json``.

    Returns:
        The summary, see `fit`.
    """
    options = run.options
    model = load_checkpoint(run.out / "best.safetensors").to(run.device).eval()
    calibrate(model, *answers(model, run.validation()))
    if run.held_out is None:
        held_out = evaluate(
            model,
            Path(options.held_out) if options.held_out else None,
            samples=options.evaluate_samples,
            size_px=options.size_px,
            seed=options.seed + HELD_OUT_SEED,
            bank_count=options.bank_count,
            scene=scene(options),
        )
    else:
        held_out = score_recorded(model, run.held_out())
    summary = {
        "steps": run.step,
        "triplets": run.step * options.batch_size,
        "minutes": round(run.elapsed_s / 60, 2),
        "validation_accuracy": round(run.best, 4),
        "best_step": run.best_step,
        "stopped_early": run.stopped_early,
        "device": torch.cuda.get_device_name(run.device) if run.device.type == "cuda" else "cpu",
        "processes": run.ranks.count,
        "precision": run.precision,
        "torch": torch.__version__,
        "recipe": options.recipe(),
        "temperature": model.metadata["temperature"],
        "held_out": held_out,
    }
    clips = {} if run.clips is None else {"clips": run.clips}
    save_checkpoint(run.out / "model.safetensors", model, metadata=summary | clips)
    (run.out / "summary.json").write_text(json.dumps(summary, indent=2) + "\n", encoding="utf-8")
    return summary


def described(summary: dict[str, Any], written: Path) -> Iterator[str]:
    """The final figures as lines for people, and how to use what was written."""
    yield from _figures(summary["held_out"])
    yield f"written: {written}"
    if "speeds" not in summary["held_out"]:
        yield (
            f"use it: python run_stream.py --set inference.checkpoint={written} "
            f"--set history.spacing_ms={summary['recipe']['spacing_ms']:g} --source ..."
        )


def _figures(held_out: Report) -> Iterator[str]:
    if "speeds" in held_out:
        speeds = {speed: scored["accuracy"] for speed, scored in held_out["speeds"].items()}
        yield f"held out, accuracy by speed: {speeds}; controls: {held_out['controls']}"
        return
    controls = held_out["controls"]
    yield (
        f"held out, {held_out['windows']} windows of {held_out['clips']} clips: accuracy "
        f"{held_out['accuracy']:.3f}, macro-F1 {held_out['macro_f1']:.3f}; the newest frame alone: "
        f"{controls['single_frame']:.3f}, another order: {controls['shuffled']:.3f}, one answer for "
        f"all: {held_out['largest_class']:.3f}"
    )
    yield (
        "these clips also chose the weights and the temperature: clips of another day or place say more "
        "(evaluate --all-clips --data ...)"
    )
    width = max(map(len, held_out["labels"]))
    for label, row in zip(held_out["labels"], held_out["confusion"], strict=True):
        yield f"  {label:>{width}}  answered as " + ", ".join(
            f"{name} {count}" for name, count in zip(held_out["labels"], row, strict=True) if count
        )
