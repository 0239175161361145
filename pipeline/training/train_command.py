"""The training command as a plain function, for run_stream.py and for machines without its libraries."""

import argparse
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from pipeline.base.errors import UserError
from pipeline.base.redact import redact
from pipeline.training.option_file import load_options
from pipeline.training.run import fit


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
        UserError: no space is left on the disk, or in the GPU's memory.
    """
    folders = {"out": out, "data": data, "init": init, "pictures": pictures, "held_out": held_out}
    given: dict[str, Any] = {key: str(value) for key, value in folders.items() if value is not None}
    return fit(load_options(config, overrides, given | ({"resume": True} if resume else {})))


def main(arguments: Sequence[str] | None = None) -> int:
    """``python -m pipeline.training.run``; returns the exit code."""
    parser = argparse.ArgumentParser(
        prog="python -m pipeline.training.run",
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
    except KeyboardInterrupt:
        return 130
    return 0
