"""The training commands as plain functions, for run_stream.py and for machines without its libraries."""

import argparse
import json
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from rich.console import RenderableType
from rich.table import Table

from pipeline.errors import UserError
from pipeline.model.checkpoint import load_checkpoint
from pipeline.redact import redact
from pipeline.training.evaluate import evaluate
from pipeline.training.fit import fit
from pipeline.training.option_file import load_options
from pipeline.training.parallel import pick_device

__all__ = ["evaluate_command", "load_options", "main", "render_evaluation", "train"]


def train(
    config: Path | None = None,
    overrides: Sequence[str] = (),
    *,
    out: Path | None = None,
    data: Path | None = None,
    init: str | None = None,
    pictures: Path | None = None,
    held_out: Path | None = None,
    resume: bool = False,
) -> dict[str, Any]:
    """Trains with a TOML file, ``key=value`` overrides, and what the command line gives apart; see `fit`.

    Raises:
        ValueError: a mistake in the options or the files, in one line.
        UserError: no space is left.
    """
    folders = {"out": out, "data": data, "init": init, "pictures": pictures, "held_out": held_out}
    given: dict[str, Any] = {key: str(value) for key, value in folders.items() if value is not None}
    return fit(load_options(config, overrides, given | ({"resume": True} if resume else {})))


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
    parser = argparse.ArgumentParser(
        prog="python -m pipeline.training.fit",
        description="Trains a model. Under torchrun --nproc-per-node N it runs on N GPUs of one machine.",
    )
    parser.add_argument("--config", type=Path, help="TOML file of training options")
    parser.add_argument("--out", type=Path, help="folder for checkpoints and metrics")
    parser.add_argument("--data", type=Path, help="folder with a folder of clips for each class, or a CSV")
    parser.add_argument("--init", help="start from this checkpoint, or from a torchvision ResNet's weights")
    parser.add_argument("--pictures", type=Path, help="photos to train on")
    parser.add_argument("--held-out", type=Path, help="photos never trained on, for the evaluation")
    parser.add_argument("--resume", action="store_true", help="go on from the last checkpoint in --out")
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", dest="overrides")
    given = vars(parser.parse_args(arguments))
    rank = int(os.environ.get("RANK", "0"))
    try:
        train(**given)
    except (UserError, ValueError, FloatingPointError, OSError) as error:
        print(f"training{f' (rank {rank})' if rank else ''}: {redact(str(error))}", file=sys.stderr)
        return 2
    return 0
