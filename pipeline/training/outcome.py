"""Finishes a run: calibrates, evaluates and writes the best weights."""

import json
import math
from collections.abc import Iterator
from operator import length_hint
from pathlib import Path
from typing import Any

import torch
from rich.progress import Progress

from pipeline.base.files import write_whole
from pipeline.base.program import PROGRAM
from pipeline.model.checkpoint import load_checkpoint, save_checkpoint
from pipeline.model.shipped import find_checkpoint, read_header
from pipeline.training.evaluation.answers import answers
from pipeline.training.evaluation.calibration import calibrate
from pipeline.training.evaluation.metrics import Report, verdict
from pipeline.training.evaluation.score_clips import score_clips
from pipeline.training.evaluation.score_motions import score_motions
from pipeline.training.progress import watched
from pipeline.training.trainer import Trainer
from pipeline.training.training_options import is_checkpoint

HELD_OUT_SEED = 1_000_003
_REMEDIES = 'see "If it does not learn" in docs/training.md'
_OF_A_RUN = ("steps", "clips_seen", "minutes", "device", "processes", "precision", "torch", "recipe")


def conclude(run: Trainer, progress: Progress | None = None) -> dict[str, Any]:
    """Scores the best weights; writes ``model.safetensors`` and ``summary.json``.

    Returns:
        The summary, see `fit`.
    """
    options = run.options
    model = load_checkpoint(run.out / "best.safetensors").to(run.device).eval()
    validation = model.metadata["validation"]
    batches = run.validation()
    if length_hint(batches):
        batches = watched(batches, progress, "calibration batches")
    calibrate(model, *answers(model, batches))
    if run.held_out is None:
        held_out = score_motions(
            model,
            Path(options.held_out) if options.held_out else None,
            samples=options.evaluate_samples,
            size_px=options.model.image_size,
            seed=options.seed + HELD_OUT_SEED,
            bank_count=options.bank_count,
            scene=options.scene,
            progress=progress,
        )
    else:
        held_out = score_clips(model, run.held_out(), progress)
    cut = cut_short(run)
    stopped = f"{cut}: allow more minutes" if cut else ""
    learned, reason = verdict(held_out, _validations_on_held_out(run), stopped=stopped)
    if not learned and run.clips is not None:
        reason += f"; {_REMEDIES}"
    summary = {
        "learned": learned,
        "verdict": reason,
        "steps": run.step,
        "clips_seen": run.clips_seen,
        "minutes": round(run.elapsed_s / 60, 2),
        "validation": validation,
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
    about = {**summary, **clips, "runs_before": _runs_before(options.init)}
    save_checkpoint(run.out / "model.safetensors", model, metadata=about)
    write_whole(run.out / "summary.json", json.dumps(summary, indent=2) + "\n")
    return summary


def cut_short(run: Trainer) -> str:
    """How the time limit ended the run before its last step or within the warm-up; "" if it did not."""
    options = run.options
    if not options.minutes or run.elapsed_s < 60 * options.minutes or run.stopped_early:
        return ""
    if run.step < options.steps:
        return f"stopped by the time limit after {run.step} of {options.steps} steps"
    if not options.steps and run.step <= options.warmup_steps:
        return f"stopped by the time limit after {run.step} steps, during the warm-up"
    return ""


def announced(run: Trainer) -> str:
    """A line about what `conclude` will do, and how long it takes at the speed of the last validation."""
    options = run.options
    if run.held_out is None:
        clips = options.evaluate_samples
        what = f"{clips:,d} rendered clips at each of 3 speeds and for each of 5 controls"
        ratio = 1 + (3 + 5) * clips / options.validate_samples
    else:
        clips = len(run.clips["held_out"]) if run.clips else 0
        what = f"every window of {clips} held-out clips as it is, with the newest frame only, and shuffled"
        ratio = 1 + 3 * length_hint(run.held_out()) / length_hint(run.validation())
    minutes = run.validation_s * ratio / 60
    about = f"; {f'about {minutes:.0f}' if minutes >= 1 else 'less than 1'} min" if minutes else ""
    limit = ", not counted in the time limit" if options.minutes else ""
    return f"evaluating the weights of step {run.best_step}: {what}{about}{limit} ..."


def _runs_before(init: str) -> list[dict[str, Any]]:
    """The training history of the weights in ``init``, run by run."""
    if not is_checkpoint(init):
        return []
    header = read_header(find_checkpoint(init))
    metadata: dict[str, Any] = json.loads(header["metadata"])
    last = {name: metadata[name] for name in _OF_A_RUN if name in metadata}
    return [*metadata.get("runs_before", []), last]


def _validations_on_held_out(run: Trainer) -> int:
    """Number of validations on the clips of the final metrics; 0 if these are separate clips."""
    if run.clips is None or "validation" in run.clips:
        return 0
    return math.ceil(run.step / run.options.validate_every_steps)


def described(summary: dict[str, Any], written: Path) -> Iterator[str]:
    """Lines for the user: the final metrics, how to use the checkpoint, and the verdict."""
    yield from _metrics(summary["held_out"])
    yield f"written: {written}"
    if "speeds" not in summary["held_out"]:
        yield (
            f"to use it: {PROGRAM} --set inference.checkpoint={written} "
            f"--set history.spacing_ms={summary['recipe']['spacing_ms']:g} --source ..."
        )
    yield summary["verdict"]


def _metrics(held_out: Report) -> Iterator[str]:
    controls = held_out["controls"]
    scored = f"accuracy {held_out['accuracy']:.3f}, macro-F1 {held_out['macro_f1']:.3f}"
    if "speeds" in held_out:
        speeds = ", ".join(f"{name}x {each['accuracy']:.3f}" for name, each in held_out["speeds"].items())
        yield f"held out: {scored}; accuracy by speed: {speeds}"
        yield "accuracy of the controls: " + ", ".join(
            f"{name.replace('_', ' ')} {accuracy:.3f}" for name, accuracy in controls.items()
        )
        return
    yield (
        f"held out, {held_out['windows']} windows of {held_out['clips']} clips: {scored}; accuracy with the "
        f"newest frame only: {controls['single_frame']:.3f}, with shuffled frames: {controls['shuffled']:.3f}"
    )
    width = max(map(len, held_out["labels"]))
    for label, row in zip(held_out["labels"], held_out["confusion"], strict=True):
        yield f"  {label:>{width}}  predicted as " + ", ".join(
            f"{name} {count}" for name, count in zip(held_out["labels"], row, strict=True) if count
        )
