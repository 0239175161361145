"""Dense motion against true flow, beside classical rivals, on the pictures as they are and spoilt."""

from collections.abc import Mapping, Sequence

import numpy as np
from rich.progress import Progress

from pipeline.base.frame import Image
from pipeline.training.evaluation.dense_motion import DenseMotion, OpenStream
from pipeline.training.evaluation.expected_error import ErrorSamples
from pipeline.training.evaluation.flow_pairs import FlowPair
from pipeline.training.evaluation.metrics import Report
from pipeline.training.evaluation.rivals import FlowRival, flow_rivals
from pipeline.training.evaluation.spoilt import SPOILINGS
from pipeline.training.evaluation.truth_files import Flow
from pipeline.training.progress import watched


def score_flow(
    open_stream: OpenStream,
    pairs: Sequence[FlowPair],
    *,
    spoilt: bool = False,
    all_presets: bool = False,
    progress: Progress | None = None,
) -> tuple[Report, Report]:
    """Scores a network and its rivals on pairs of pictures.

    Args:
        open_stream: opens a stream through the network.
        pairs: with true flow.
        spoilt: score each of `SPOILINGS`, too.
        all_presets: score DIS fast and ultrafast, too.
        progress: takes a bar.

    Returns:
        By pair: ``epe`` of the network and ``<rival>_epe``, the mean end-point error over known pixels in
        pixels of the pictures; ``known``, their share; with ``spoilt`` the same errors by name of the
        spoiling. And what the network's uncertainty is worth, see `ErrorSamples.report`.

    Raises:
        ValueError: a file is missing or damaged.
    """
    rivals = flow_rivals(all_presets)
    samples = ErrorSamples()
    report: Report = {}
    for pair in watched(pairs, progress, "flow"):
        new, past, truth = pair.read()
        motion = _answer(open_stream, new, past)
        samples.add(motion, truth)
        report[pair.name] = _errors(motion, rivals, new, past, truth)
        report[pair.name]["known"] = round(float(1 - np.isnan(truth[..., 0]).mean()), 4)
        if spoilt:
            report[pair.name]["spoilt"] = {}
        for name, spoil in SPOILINGS.items() if spoilt else ():
            past_spoilt, new_spoilt = spoil([past, new], np.random.default_rng(0))
            motion = _answer(open_stream, new_spoilt, past_spoilt)
            report[pair.name]["spoilt"][name] = _errors(motion, rivals, new_spoilt, past_spoilt, truth)
    return report, samples.report()


def end_point_error(flow: Flow, truth: Flow) -> float:
    """The mean distance between the ends of two flows, in pixels, over the pixels where both are known."""
    return float(np.nanmean(np.linalg.norm(flow - truth, axis=2)))


def _answer(open_stream: OpenStream, new: Image, past: Image) -> DenseMotion:
    stream = open_stream()
    stream(past)
    return stream(new)


def _errors(
    motion: DenseMotion, rivals: Mapping[str, FlowRival], new: Image, past: Image, truth: Flow
) -> Report:
    found = {"epe": end_point_error(motion.flow_at(*truth.shape[:2]), truth)}
    for name, rival in rivals.items():
        found[f"{name}_epe"] = end_point_error(rival(new, past), truth)
    return {name: round(error, 4) for name, error in found.items()}
