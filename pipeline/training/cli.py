"""The training commands as plain functions, for run_stream.py and for machines without its libraries."""

import argparse
import json
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from rich.console import RenderableType
from rich.table import Table

from pipeline.model.checkpoint import load_checkpoint
from pipeline.training.evaluate import evaluate
from pipeline.training.fit import fit
from pipeline.training.fitting import pick_device
from pipeline.training.options import FitOptions, load_options

__all__ = ["evaluate_command", "load_options", "main", "render_evaluation", "train"]


def train(
    config: Path | None = None,
    overrides: Sequence[str] = (),
    *,
    out: Path | None = None,
    pictures: Path | None = None,
    held_out: Path | None = None,
    resume: bool = False,
) -> dict[str, Any]:
    """Trains with a TOML file, overrides and folders given apart; see `fit`.

    Raises:
        ValueError: a mistake in the options or the files, in one line.
    """
    folders = {"out": out, "pictures": pictures, "held_out": held_out}
    given = {key: str(folder) for key, folder in folders.items() if folder is not None}
    options: FitOptions = replace(load_options(config, overrides), **given)  # type: ignore[arg-type]
    return fit(replace(options, resume=options.resume or resume))


def evaluate_command(
    checkpoint: Path,
    pictures: Path | None = None,
    *,
    samples: int = 4096,
    size_px: int = 224,
    device: str = "auto",
    report: Path | None = None,
) -> dict[str, Any]:
    """Evaluates a checkpoint on a folder of pictures; writes the report as JSON if asked.

    Raises:
        ValueError: a mistake in the arguments or the files, in one line.
    """
    model = load_checkpoint(checkpoint).to(pick_device(device)).eval()
    figures = evaluate(model, pictures, samples=samples, size_px=size_px)
    if report is not None:
        report.write_text(json.dumps(figures, indent=2) + "\n", encoding="utf-8")
    return figures


def render_evaluation(figures: dict[str, Any]) -> RenderableType:
    """The figures of an evaluation as a table for people."""
    table = Table(title=f"{figures['samples']} clips for each row, over {figures['pictures']}")
    for heading in ("", "accuracy", "macro-F1"):
        table.add_column(heading, justify="right" if heading else "left")
    for speed, scored in figures["speeds"].items():
        table.add_row(f"speed {speed}x", f"{scored['accuracy']:.4f}", f"{scored['macro_f1']:.4f}")
    for control, accuracy in figures["controls"].items():
        table.add_row(f"control: {control.replace('_', ' ')}", f"{accuracy:.4f}", "")
    return table


def main(arguments: Sequence[str] | None = None) -> int:
    """``python -m pipeline.training.fit``; returns the exit code."""
    parser = argparse.ArgumentParser(prog="python -m pipeline.training.fit", description=train.__doc__)
    parser.add_argument("--config", type=Path, help="TOML file of training options")
    parser.add_argument("--out", type=Path, help="folder for checkpoints and metrics")
    parser.add_argument("--pictures", type=Path, help="photos to train on")
    parser.add_argument("--held-out", type=Path, help="photos never trained on, for the evaluation")
    parser.add_argument("--resume", action="store_true", help="go on from the last checkpoint in --out")
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", dest="overrides")
    given = parser.parse_args(arguments)
    try:
        train(
            given.config,
            given.overrides,
            out=given.out,
            pictures=given.pictures,
            held_out=given.held_out,
            resume=given.resume,
        )
    except (ValueError, FloatingPointError, OSError) as error:
        print(f"training: {error}", file=sys.stderr)
        return 2
    return 0
