import numpy as np
import pytest

from pipeline.scene.dense_motion import DenseMotion
from pipeline.training.evaluation.expected_error import ErrorSamples


def motion(uncertainty: np.ndarray) -> DenseMotion:
    rows, columns = uncertainty.shape
    return DenseMotion(
        moving=np.zeros((rows, columns), np.float32),
        flow=np.zeros((1, 2, rows, columns), np.float32),
        uncertainty=uncertainty[None].astype(np.float32),
        camera=np.eye(2, 3, dtype=np.float32)[None],
        valid=np.array([True]),
        history_ms=[40.0],
        aspect=rows / columns,
    )


def laplace(seed: int, scale: np.ndarray) -> np.ndarray:
    """Flow whose length has the mean that is expected of it."""
    length = np.random.default_rng(seed).exponential(scale)
    return np.stack([length, np.zeros_like(length)], axis=2).astype(np.float32)


def test_a_network_that_knows_its_errors_is_calibrated() -> None:
    expected = np.repeat(np.linspace(0.1, 4, 96)[None], 64, axis=0).repeat(4, 0).repeat(4, 1)
    samples = ErrorSamples()
    for seed in range(4):
        samples.add(motion(expected[::4, ::4]), laplace(seed, expected))
    report = samples.report()
    assert len(report["bins"]) == 10
    assert report["calibration_error"] < 0.1
    assert report["within"] == pytest.approx(0.632, abs=0.02)
    assert report["within_3"] == pytest.approx(0.950, abs=0.01)
    rising = [part["expected"] for part in report["bins"]]
    assert rising == sorted(rising)


def test_a_network_that_is_too_sure_is_found_out() -> None:
    samples = ErrorSamples()
    samples.add(motion(np.full((16, 24), 0.25)), np.full((64, 96, 2), (0.6, 0.8), np.float32))
    report = samples.report()
    assert report["calibration_error"] == 0.75
    assert (report["within"], report["within_3"]) == (0, 0)
    assert report["bins"][0] == {"expected": 0.25, "real": 1.0}


def test_unknown_places_do_not_count() -> None:
    truth = np.full((64, 96, 2), np.nan, np.float32)
    truth[:32] = 0
    samples = ErrorSamples()
    samples.add(motion(np.full((16, 24), 0.25)), truth)
    assert samples.report()["within"] == 1
