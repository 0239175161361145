"""The contribution of each part of dense motion, without retraining.

``python -m benchmarks.dense_ablation --flow FOLDER --moving FOLDER --out FILE`` evaluates the same weights
with other numbers of refinement rounds, with one past frame, with a mask from the flow residual only, and
with smaller frames. ``--weights NAME=CHECKPOINT`` adds other checkpoints with the shipped settings. FOLDER is
as for ``evaluate``. ``--show FILE`` prints a file as Markdown.
"""

import argparse
import json
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from benchmarks.machine import describe_machine
from pipeline.model.checkpoint import load_checkpoint
from pipeline.model.motion.motion_head import ROUNDS
from pipeline.model.preprocessing import Preprocessing, aspect_kept
from pipeline.scene.dense_motion import PLACE_PX, DenseMotion
from pipeline.training.evaluation.flow_pairs import FlowPair, find_flow_pairs
from pipeline.training.evaluation.mask_sequences import MaskSequence, find_mask_sequences
from pipeline.training.evaluation.motion_fields import (
    OpenStream,
    PictureSize,
    camera_flow_at,
    flow_at,
    moving_at,
    network_size,
    played,
)
from pipeline.training.evaluation.network_motion import open_network_motion
from pipeline.training.evaluation.score_flow import end_point_error
from pipeline.training.evaluation.score_moving import MaskScore
from pipeline.training.evaluation.truth_files import read_picture

_SPACING = 2
_RESIDUAL_PX = 1.0  # threshold in pixels of the network's input


class Variant(NamedTuple):
    """Settings of one evaluation of the weights.

    Attributes:
        rounds: Refinement rounds, see ``MotionHead.rounds``.
        past: Number of past frames.
        alter: Post-processing of the result.
        size: Input size of the network.
    """

    rounds: tuple[int, int, int] = ROUNDS
    past: int = 2
    alter: Callable[[DenseMotion], DenseMotion] = lambda motion: motion
    size: PictureSize = network_size


def _residual_alone(motion: DenseMotion) -> DenseMotion:
    size = motion.moving.shape[0] * PLACE_PX, motion.moving.shape[1] * PLACE_PX
    own = flow_at(motion, *size) - camera_flow_at(motion, *size)
    length = np.linalg.norm(own, axis=2)[PLACE_PX // 2 :: PLACE_PX, PLACE_PX // 2 :: PLACE_PX]
    return replace(motion, moving=(length > _RESIDUAL_PX).astype(np.float32))


VARIANTS = {
    "as shipped": Variant(),
    "one past frame": Variant(past=1),
    "mask from the residual alone": Variant(alter=_residual_alone),
    "stride 8 alone": Variant((1, 0, 0)),
    "one round fewer at stride 4": Variant((1, 1, 2)),
    "one round more at stride 4": Variant((1, 3, 2)),
    "one round more at stride 8": Variant((2, 2, 2)),
    "no steps after the rounds": Variant((1, 2, 0)),
    "pictures at most 320 px wide": Variant(size=partial(aspect_kept, longer_px=320)),
    "pictures at most 256 px wide": Variant(size=partial(aspect_kept, longer_px=256)),
    "pictures stretched to 192x192": Variant(size=Preprocessing(size=192).picture_size),
}
_SHOWN = {
    "mask from the residual alone": "mask from the flow residual only",
    "stride 8 alone": "stride 8 only",
    "pictures at most 320 px wide": "frames at most 320 px wide",
    "pictures at most 256 px wide": "frames at most 256 px wide",
    "pictures stretched to 192x192": "frames stretched to 192x192",
}
"""Descriptions for tables, where they differ from the names in stored results."""


def measure(
    checkpoint: str,
    pairs: Sequence[FlowPair],
    sequences: Sequence[MaskSequence],
    every: int,
    names: Sequence[str],
) -> list[dict[str, Any]]:
    """A row for each variant: ``epe`` by pair, ``f`` and ``j`` by sequence.

    Args:
        checkpoint: A checkpoint with dense motion.
        pairs: Pairs with true flow.
        sequences: Sequences with true masks; each scored frame t is run separately with t-4 and t-2.
        every: Score every n-th frame with a mask.
        names: Names of the variants to evaluate, from ``VARIANTS``.

    Raises:
        ValueError: A file is damaged, or the network has no dense motion.
    """
    model = load_checkpoint(checkpoint)
    rows = []
    for name in names:
        variant = VARIANTS[name]
        open_stream = open_network_motion(model, variant.size)
        assert model.motion is not None
        model.motion.rounds = variant.rounds
        rows.append(
            {
                "variant": name,
                "rounds": variant.rounds,
                "epe": {pair.name: _end_point_error(open_stream, pair) for pair in pairs},
                "moving": {one.name: _moving(open_stream, one, every, variant) for one in sequences},
            }
        )
    return rows


def _end_point_error(open_stream: OpenStream, pair: FlowPair) -> float:
    new, past, truth = pair.read()
    return round(end_point_error(flow_at(played(open_stream(), [past, new]), *truth.shape[:2]), truth), 4)


def _moving(
    open_stream: OpenStream, sequence: MaskSequence, every: int, variant: Variant
) -> dict[str, float]:
    score = MaskScore()
    for index in [index for index in sorted(sequence.masks) if index >= 2 * _SPACING][::every]:
        shown = range(index - variant.past * _SPACING, index + 1, _SPACING)
        motion = played(open_stream(), [read_picture(sequence.frames[number]) for number in shown])
        truth, judged = sequence.truth(index)
        score.add(moving_at(variant.alter(motion), *truth.shape), truth, judged)
    return dict(score.report())


def table(document: dict[str, Any]) -> str:
    """A result file as Markdown: means over all pairs, and over CDnet (F) and DAVIS (J) sequences."""
    lines = ["| | rounds, steps | end-point error | F, CDnet | J, DAVIS |", "|---|---|---:|---:|---:|"]
    for row in document["rows"]:
        kinds = {"f": document["cdnet"], "j": document["davis"]}
        means = [_mean([row["moving"][name][key] for name in names]) for key, names in kinds.items()]
        rounds = ", ".join(map(str, row["rounds"]))
        figures = " | ".join([_mean(list(row["epe"].values())), *means])
        lines.append(f"| {_SHOWN.get(row['variant'], row['variant'])} | {rounds} | {figures} |")
    return "\n".join(lines)


def _mean(values: Sequence[float]) -> str:
    return f"{np.mean(values):.3f}" if values else "-"


def main() -> None:
    """Runs the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--checkpoint", default="motion_resnet18")
    parser.add_argument("--flow", type=Path, help="folder of pairs with true flow")
    parser.add_argument("--moving", type=Path, help="folder of sequences with masks")
    parser.add_argument("--every", type=int, default=4, help="score every n-th frame with a mask")
    parser.add_argument("--only", nargs="+", default=list(VARIANTS), choices=VARIANTS, metavar="VARIANT")
    parser.add_argument(
        "--weights", nargs="+", default=[], metavar="NAME=CHECKPOINT", help="more checkpoints"
    )
    parser.add_argument("--out", type=Path, help="JSON file to write")
    parser.add_argument("--show", type=Path, help="print this file without measuring")
    given = parser.parse_args()
    if given.show:
        print(table(json.loads(given.show.read_text())))
        return
    pairs = find_flow_pairs(given.flow) if given.flow else []
    sequences = find_mask_sequences(given.moving) if given.moving else []
    rows = measure(given.checkpoint, pairs, sequences, given.every, given.only)
    for name, _, checkpoint in (text.partition("=") for text in given.weights):
        (row,) = measure(checkpoint, pairs, sequences, given.every, ["as shipped"])
        rows.append(row | {"variant": name})
    document = {
        "machine": describe_machine(),
        "cdnet": [one.name for one in sequences if one.kind == "cdnet"],
        "davis": [one.name for one in sequences if one.kind == "davis"],
        "every": given.every,
        "rows": rows,
    }
    if given.out:
        given.out.write_text(json.dumps(document, indent=1) + "\n")
    print(table(document))


if __name__ == "__main__":
    main()
