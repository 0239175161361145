from pathlib import Path

import numpy as np
import pytest

from pipeline.training.evaluation.mask_sequences import find_mask_sequences
from pipeline.training.evaluation.score_moving import MaskScore, score_moving
from tests.training.evaluation.data_sets import (
    network_of,
    recording,
    textured,
    write_cdnet,
    write_masks,
    write_picture,
)


def test_f_is_of_all_frames_together_and_j_is_the_mean_of_frames() -> None:
    truth = np.zeros((2, 10), np.bool_)
    truth[0] = True
    score, all_judged = MaskScore(), np.ones_like(truth)
    score.add(truth, truth, all_judged)
    found = np.zeros_like(truth)
    found[:, :2] = True  # two hits, two false, eight missed
    score.add(found, truth, all_judged)
    assert score.report() == {
        "f": round(24 / (24 + 2 + 8), 4),
        "precision": round(12 / 14, 4),
        "recall": round(12 / 20, 4),
        "j": round((1 + 2 / 12) / 2, 4),
    }


def test_places_that_are_not_judged_do_not_count() -> None:
    truth, judged = np.zeros((2, 2), np.bool_), np.zeros((2, 2), np.bool_)
    truth[0], judged[:, 0] = True, True
    score = MaskScore()
    score.add(truth, truth, judged)
    score.add(~truth & ~judged, ~truth & ~judged, judged)
    assert score.report("x_") == {"x_f": 1, "x_precision": 1, "x_recall": 1, "x_j": 1}


def test_nothing_found_and_nothing_to_be_found() -> None:
    nothing, everything = np.zeros((2, 2), np.bool_), np.ones((2, 2), np.bool_)
    score = MaskScore()
    score.add(nothing, nothing, everything)
    assert score.report()["j"] == 1
    score.add(nothing, everything, everything)
    assert score.report() == {"f": 0, "precision": 0, "recall": 0, "j": 0.5}


def test_cdnet_beside_mog2(tmp_path: Path) -> None:
    write_cdnet(tmp_path / "street", frames=16)
    report = score_moving(network_of(moving=True), find_mask_sequences(tmp_path))["street"]
    assert report["kind"] == "cdnet"
    assert report["frames"] == 12, "the first four frames have no two past pictures"
    assert report["recall"] == 1
    assert report["precision"] == pytest.approx(24 * 24 / (90 * 128 - 24 * 10), abs=1e-4)
    write_cdnet(tmp_path / "street", frames=40, enters=30)
    report = score_moving(network_of(), find_mask_sequences(tmp_path))["street"]
    assert report["f"] == 0
    assert report["mog2_f"] > 0.7, "it finds the box"


def test_mog2_sees_all_frames_before_and_the_network_two_of_them(tmp_path: Path) -> None:
    write_cdnet(tmp_path / "street", frames=16)
    everything = score_moving(network_of(), find_mask_sequences(tmp_path))["street"]
    (tmp_path / "street" / "temporalROI.txt").write_text("12 14")
    open_stream, seen = recording()
    late = score_moving(open_stream, find_mask_sequences(tmp_path))["street"]
    assert late["frames"] == 3
    assert sorted(len(pictures) for pictures in seen) == [3, 4], "frames 8, 10, 12, 14 and 9, 11, 13"
    assert late["mog2_f"] > everything["mog2_f"], "it has learned the scene before it is judged"


def test_the_speed_of_things_beside_dis(tmp_path: Path) -> None:
    write_cdnet(tmp_path / "street", frames=16)
    right, still = (
        score_moving(network_of(flow, moving=True), find_mask_sequences(tmp_path))["street"]
        for flow in ((-8.0, 0.0), (0.0, 0.0))
    )
    assert right["things"] == 12, "the box, in each judged frame"
    assert right["speed_error"] == 0, "it goes 8 pixels in two frames"
    assert still["speed_error"] == 1
    assert right["dis_speed_error"] == still["dis_speed_error"] < 0.5


def test_davis_by_the_overlap_with_the_main_object(tmp_path: Path) -> None:
    write_masks(tmp_path / "JPEGImages/480p/dog", tmp_path / "Annotations/480p/dog")
    report = score_moving(network_of(moving=True), find_mask_sequences(tmp_path))["dog"]
    assert report["kind"] == "davis"
    assert report["frames"] == 4
    assert report["j"] == pytest.approx(24 * 24 / (96 * 128), abs=1e-4)


def test_errors_are_one_line(tmp_path: Path) -> None:
    write_masks(tmp_path / "frames", tmp_path / "masks", count=4)
    with pytest.raises(ValueError, match="too short: a scored frame needs 4 frames before it"):
        score_moving(network_of(), find_mask_sequences(tmp_path))
    write_masks(tmp_path / "frames", tmp_path / "masks", count=5)
    write_picture(tmp_path / "frames" / "00004.jpg", textured(48, 64))
    with pytest.raises(ValueError, match=r"00004\.png: size differs from .*00004\.jpg"):
        score_moving(network_of(), find_mask_sequences(tmp_path))
