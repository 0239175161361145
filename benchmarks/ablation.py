"""Trains the network, baselines and ablations under one budget: ``python -m benchmarks.ablation --help``.

Every variant is trained from scratch with the same budget, images, loss, optimiser and seed, scored on
held-out images, and its streaming step is measured. Each writes one JSON line; that of a failed variant
contains the error, and the others continue.
"""

import argparse
import json
import sys
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, fields
from pathlib import Path
from typing import Any

import torch
from torch import nn

from benchmarks.machine import describe_machine
from benchmarks.temporal.budget import Budget
from benchmarks.temporal.cost import streaming_cost
from benchmarks.temporal.harness import score, train
from benchmarks.temporal.markdown_table import markdown
from benchmarks.temporal.spread import over_gpus
from benchmarks.temporal.variants import VARIANTS


def run_variant(name: str, budget: Budget, cost_only: bool = False) -> dict[str, Any]:
    """Trains, scores and measures one variant.

    Returns:
        Its JSON line: description, budget, machine and metrics, or ``error`` if it failed.
    """
    variant = VARIANTS[name]
    machine, on_gpu = describe_machine(), budget.device.startswith("cuda")
    line: dict[str, Any] = {"name": name, "about": variant.about, "budget": asdict(budget)}
    line |= {"device": machine["gpu" if on_gpu else "processor"], "torch": machine["torch"]}
    try:
        torch.manual_seed(budget.seed)
        model: nn.Module = variant.build(budget.shape)
        line["parameters"] = sum(weights.numel() for weights in model.parameters() if weights.requires_grad)
        if not cost_only:
            with torch.backends.cudnn.flags(enabled=True, benchmark=True):
                trained = train(name, variant, budget)
                line |= {
                    "steps": trained.steps,
                    "clips": trained.clips,
                    "seconds": round(trained.seconds, 1),
                    "loss": round(trained.loss, 4),
                    "accuracy": score(trained.model, variant, budget),
                }
        line |= streaming_cost(model.eval(), budget.shape, budget.device, budget.repeats)
    except Exception as error:  # any failure: the other variants must continue
        text = " ".join(str(error).split())
        line["error"] = f"{type(error).__name__}: {text[:300]}"
    return line


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs the command line; returns the exit code: 1 if a variant failed, 2 for invalid options."""
    given = _parser().parse_args(arguments)
    try:
        if given.table:
            print(markdown(line for file in given.table for line in _read(file)), end="")
            return 0
        budget = Budget(**{field.name: getattr(given, field.name) for field in fields(Budget)})
        given.out.parent.mkdir(parents=True, exist_ok=True)
        given.out.touch()
        names = _missing(given.only or list(VARIANTS), budget, given.out, given.cost_only)
    except (OSError, ValueError) as error:
        print(f"ablation: {error}", file=sys.stderr)
        return 2
    lines: Iterable[dict[str, Any]] = (run_variant(name, budget, given.cost_only) for name in names)
    if given.gpus:
        lines = over_gpus(names, budget, given.gpus, cost_only=given.cost_only)
    started, failures = time.monotonic(), 0
    for number, line in enumerate(lines, start=1):
        failures += "error" in line
        with given.out.open("a", encoding="utf-8") as file:
            file.write(json.dumps(line) + "\n")
        print(f"{time.monotonic() - started:5.0f} s  {number}/{len(names)}  {_news(line)}", flush=True)
    return 1 if failures else 0


def _missing(names: Sequence[str], budget: Budget, out: Path, cost_only: bool) -> list[str]:
    """The variants missing from ``out`` for this budget, so that an interrupted run can be continued."""
    done = set()
    for line in _read(out):
        if "error" not in line and line["budget"] == asdict(budget) and cost_only == ("accuracy" not in line):
            done.add(line["name"])
    if done & {*names}:
        print(f"already in {out}: {', '.join(sorted(done & {*names}))}", flush=True)
    return [name for name in names if name not in done]


def _read(file: Path) -> list[dict[str, Any]]:
    try:
        return [json.loads(text) for text in file.read_text("utf-8").splitlines()]
    except ValueError:
        raise ValueError(f"{file}: not a results file of this program") from None


def _news(line: dict[str, Any]) -> str:
    if "error" in line:
        return f"{line['name']}: {line['error']}"
    scores = "  ".join(f"{name} {value:.3f}" for name, value in line.get("accuracy", {}).items())
    clips = f"{line['clips']} clips  " if "clips" in line else ""
    return f"{line['name']}: {scores}  {clips}{line['gflops']:.2f} GFLOPs  {line['step_ms']:.2f} ms"


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.ablation",
        description="Trains our network, its baselines and its ablations under one budget.",
        epilog="variants: " + ", ".join(VARIANTS),
    )
    for option in fields(Budget):
        flag = f"--{option.name.replace('_', '-')}"
        kind: Callable[[str], Any] = _truth if isinstance(option.default, bool) else type(option.default)
        parser.add_argument(
            flag, type=kind, default=option.default, help=f"{option.metadata['help']} (%(default)s)"
        )
    parser.add_argument("--only", nargs="+", choices=VARIANTS, metavar="NAME", help="run only these variants")
    parser.add_argument("--gpus", type=int, default=0, help="run one process per variant on this many GPUs")
    parser.add_argument("--cost-only", action="store_true", help="measure the step without training")
    parser.add_argument(
        "--out", type=Path, default=Path("outputs/ablation.jsonl"), help="append results here (%(default)s)"
    )
    parser.add_argument(
        "--table", type=Path, nargs="+", metavar="FILE", help="print results as a Markdown table"
    )
    return parser


def _truth(text: str) -> bool:
    if text.lower() not in ("true", "false"):
        raise argparse.ArgumentTypeError(f"{text!r}: must be true or false")
    return text.lower() == "true"


if __name__ == "__main__":
    raise SystemExit(main())
