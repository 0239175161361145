"""Compares the predicted uncertainty of flow with its actual error."""

import numpy as np

from pipeline.scene.dense_motion import DenseMotion
from pipeline.training.evaluation.metrics import Report
from pipeline.training.evaluation.motion_fields import Floats, flow_at, uncertainty_at
from pipeline.training.evaluation.truth_files import Flow

_BINS, _STRIDE = 10, 4


class ErrorSamples:
    """Expected and actual errors at every fourth known pixel of any number of images, in image pixels."""

    def __init__(self) -> None:
        """Starts empty."""
        self._expected: list[Floats] = []
        self._real: list[Floats] = []

    def add(self, motion: DenseMotion, truth: Flow) -> None:
        """Adds the samples of one image; NaN in ``truth`` means unknown."""
        height, width = truth.shape[:2]
        real = np.linalg.norm(flow_at(motion, height, width) - truth, axis=2)[2::_STRIDE, 2::_STRIDE]
        expected = uncertainty_at(motion, height, width)[2::_STRIDE, 2::_STRIDE]
        known = ~np.isnan(real)
        self._expected.append(expected[known])
        self._real.append(real[known].astype(np.float32))

    def report(self) -> Report:
        """Calibration of the uncertainty.

        Returns:
            ``bins``: ten bins with equal numbers of samples, from certain to uncertain, with the mean
            ``expected`` and ``real`` error; ``calibration_error``: the mean difference of the two, in
            pixels; ``within`` and ``within_3``: shares of the actual errors below the expected error and
            below three times it, which are 0.63 and 0.95 for a Laplace distribution.
        """
        expected, real = np.concatenate(self._expected), np.concatenate(self._real)
        order = np.argsort(expected, kind="stable")
        bins = [
            {"expected": round(float(expected[part].mean()), 4), "real": round(float(real[part].mean()), 4)}
            for part in np.array_split(order, _BINS)
            if len(part)
        ]
        return {
            "bins": bins,
            "calibration_error": round(
                float(np.mean([abs(each["expected"] - each["real"]) for each in bins])), 4
            ),
            "within": round(float((real <= expected).mean()), 4),
            "within_3": round(float((real <= 3 * expected).mean()), 4),
        }
