from pathlib import Path

import numpy as np
import pytest

from pipeline.training.evaluation.camera_sequences import find_camera_sequences
from pipeline.training.evaluation.score_camera import score_camera
from tests.training.evaluation.data_sets import network_of, textured, write_picture


def write_pan(folder: Path, speed: int = 2, frames: int = 6) -> None:
    """A camera that pans to the right over a wall: what it sees was further right before."""
    wall = textured(64, 200)
    for number in range(frames):
        write_picture(folder / f"{number:04d}.png", wall[:, speed * number :][:, :160])
    flow = np.full((16, 40, 2), (3 * speed, 0), np.float16)
    flow[:4] = np.nan
    np.savez(folder / "flow_to_3_before.npz", **{f"{number:04d}": flow for number in range(3, frames)})


def test_a_pan_is_found_by_who_knows_it_and_by_the_fit_to_dis(tmp_path: Path) -> None:
    write_pan(tmp_path / "pan")
    sequences = find_camera_sequences(tmp_path)
    report = score_camera(network_of((6, 0)), sequences)["pan"]
    assert report["frames"] == 3
    assert report["epe"] == report["flow_epe"] == pytest.approx(0, abs=1e-3)
    assert report["best_fit_epe"] == pytest.approx(0, abs=1e-3)
    assert report["dis_fit_epe"] < 0.2
    assert report["dis_epe"] < 0.4
    assert score_camera(network_of(), sequences)["pan"]["epe"] == pytest.approx(12, abs=1e-3), (
        "6 of 160 pixels, in pixels of 320"
    )


def test_truth_of_another_size_is_one_line(tmp_path: Path) -> None:
    write_pan(tmp_path)
    write_picture(tmp_path / "0004.png", textured(64, 128))
    with pytest.raises(
        ValueError, match=r"0004\.png: true flow has shape \(16, 40, 2\), expected \(16, 32, 2\)"
    ):
        score_camera(network_of(), find_camera_sequences(tmp_path))
