"""Scores flow and its baselines against ground truth, on clean and corrupted images."""

from collections.abc import Mapping, Sequence

import numpy as np
from rich.progress import Progress

from pipeline.base.frame import Image
from pipeline.scene.dense_motion import DenseMotion
from pipeline.training.evaluation.corruptions import CORRUPTIONS
from pipeline.training.evaluation.expected_error import ErrorSamples
from pipeline.training.evaluation.flow_pairs import FlowPair
from pipeline.training.evaluation.metrics import Report
from pipeline.training.evaluation.motion_fields import OpenStream, flow_at, played
from pipeline.training.evaluation.opencv_baselines import FlowBaseline, flow_baselines
from pipeline.training.evaluation.truth_files import Flow
from pipeline.training.progress import watched


def score_flow(
    open_stream: OpenStream,
    pairs: Sequence[FlowPair],
    *,
    corrupted: bool = False,
    all_presets: bool = False,
    progress: Progress | None = None,
) -> tuple[Report, Report]:
    """Scores a network and its baselines on image pairs.

    Args:
        open_stream: Opens a stream through the network.
        pairs: Pairs with ground-truth flow.
        corrupted: Also score each of `CORRUPTIONS`.
        all_presets: Also score DIS fast and ultrafast.
        progress: Shows a bar.

    Returns:
        By pair: ``epe`` of the network and ``<baseline>_epe``, the mean end-point error over known pixels in
        image pixels; ``known``, their share; with ``corrupted`` the same errors by name of the corruption.
        Also the calibration of the network's uncertainty, see `ErrorSamples.report`.

    Raises:
        ValueError: A file is missing or damaged.
    """
    baselines = flow_baselines(all_presets)
    samples = ErrorSamples()
    report: Report = {}
    for pair in watched(pairs, progress, "flow"):
        new, past, truth = pair.read()
        motion = played(open_stream(), [past, new])
        samples.add(motion, truth)
        report[pair.name] = _errors(motion, baselines, new, past, truth)
        report[pair.name]["known"] = round(float(1 - np.isnan(truth[..., 0]).mean()), 4)
        if corrupted:
            report[pair.name]["corrupted"] = {}
        for name, corrupt in CORRUPTIONS.items() if corrupted else ():
            past_corrupted, new_corrupted = corrupt([past, new], np.random.default_rng(0))
            motion = played(open_stream(), [past_corrupted, new_corrupted])
            report[pair.name]["corrupted"][name] = _errors(
                motion, baselines, new_corrupted, past_corrupted, truth
            )
    return report, samples.report()


def end_point_error(flow: Flow, truth: Flow) -> float:
    """The mean end-point error in pixels, where the truth is known."""
    known = ~np.isnan(truth).any(axis=2)
    return float(np.linalg.norm(flow[known] - truth[known], axis=1).mean())


def _errors(
    motion: DenseMotion, baselines: Mapping[str, FlowBaseline], new: Image, past: Image, truth: Flow
) -> Report:
    found = {"epe": end_point_error(flow_at(motion, *truth.shape[:2]), truth)}
    for name, baseline in baselines.items():
        found[f"{name}_epe"] = end_point_error(baseline(new, past), truth)
    return {name: round(error, 4) for name, error in found.items()}
