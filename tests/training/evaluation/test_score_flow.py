from pathlib import Path

import numpy as np
import pytest

from pipeline.training.evaluation.flow_pairs import find_flow_pairs
from pipeline.training.evaluation.score_flow import end_point_error, score_flow
from tests.support import need_module
from tests.training.evaluation.data_sets import network_of, recording, shifted_pair, write_npz_pair


def test_the_error_is_the_mean_distance_where_the_truth_is_known() -> None:
    truth = np.zeros((4, 6, 2), np.float32)
    truth[:2] = np.nan
    flow = np.full((4, 6, 2), 77, np.float32)
    flow[2], flow[3] = (3, 4), (0, 1)
    assert end_point_error(flow, truth) == 3.0
    assert end_point_error(truth, truth) == 0.0
    flow[3, 0] = np.nan
    assert np.isnan(end_point_error(flow, truth)), "no place of an answer is left out"


def test_a_network_that_knows_a_shift_has_no_error_and_dis_next_to_none(tmp_path: Path) -> None:
    write_npz_pair(tmp_path / "shift", *shifted_pair(3, -2))
    report, uncertainty = score_flow(network_of((3, -2)), find_flow_pairs(tmp_path))
    assert report["shift"]["epe"] == 0
    assert 0 < report["shift"]["dis_epe"] < 0.5
    assert report["shift"]["known"] == 1
    assert "corrupted" not in report["shift"]
    assert uncertainty["within"] == 1
    still, _ = score_flow(network_of(), find_flow_pairs(tmp_path))
    assert still["shift"]["epe"] == pytest.approx(13**0.5, abs=1e-3)
    assert still["shift"]["dis_epe"] == report["shift"]["dis_epe"]


def test_frame_b_is_the_past_and_frame_a_is_new(tmp_path: Path) -> None:
    new, past, flow = shifted_pair(3, -2)
    write_npz_pair(tmp_path / "shift", new, past, flow)
    open_stream, seen = recording()
    score_flow(open_stream, find_flow_pairs(tmp_path))
    assert len(seen) == 1
    assert [np.array_equal(*each) for each in zip(seen[0], (past, new), strict=True)] == [True, True]


def test_corrupted_pictures_are_harder_for_dis_and_all_presets_compete(tmp_path: Path) -> None:
    need_module("av", "av")
    write_npz_pair(tmp_path / "shift", *shifted_pair(3, -2))
    pairs = find_flow_pairs(tmp_path)
    report, _ = score_flow(network_of((3, -2)), pairs, corrupted=True, all_presets=True)
    corrupted = report["shift"]["corrupted"]
    assert list(corrupted) == ["noise", "low_light", "light_jump", "jpeg", "h264"]
    assert corrupted["noise"]["dis_epe"] > report["shift"]["dis_epe"]
    for errors in (report["shift"], *corrupted.values()):
        assert errors["epe"] == 0
        assert {"dis_fast_epe", "dis_ultrafast_epe", "farneback_epe"} < errors.keys()
