from pathlib import Path

import pytest

from pipeline.training.evaluation.score_dense import DenseData, score_dense
from tests.support import need_module
from tests.training.evaluation.data_sets import network_of, shifted_pair, write_cdnet, write_npz_pair
from tests.training.evaluation.test_score_camera import write_pan


def test_what_is_asked_for_is_scored(tmp_path: Path) -> None:
    need_module("av", "av")
    write_npz_pair(tmp_path / "flow" / "shift", *shifted_pair(3, -2))
    write_cdnet(tmp_path / "moving" / "street", frames=6)
    write_pan(tmp_path / "camera" / "pan", frames=4)
    data = DenseData(
        flow=tmp_path / "flow",
        moving=tmp_path / "moving",
        still=tmp_path / "flow",
        camera=tmp_path / "camera",
        still_frames=2,
    )
    lines: list[str] = []
    report = score_dense(network_of((3, -2)), data, lines.append)
    assert list(report) == ["flow", "uncertainty", "moving", "still", "camera"]
    assert report["flow"].keys() == {"shift"}
    assert report["moving"].keys() == {"street"}
    assert report["still"]["noise"]["frames"] == 4
    assert report["camera"].keys() == {"pan"}
    assert len(lines) == 4
    assert list(score_dense(network_of(), DenseData(moving=tmp_path / "moving"), lines.append)) == ["moving"]


def test_a_folder_that_is_missing_is_noticed_before_anything_is_scored(tmp_path: Path) -> None:
    write_npz_pair(tmp_path / "shift", *shifted_pair(3, -2))
    lines: list[str] = []
    with pytest.raises(ValueError, match="nowhere: no such folder"):
        score_dense(network_of(), DenseData(flow=tmp_path, camera=tmp_path / "nowhere"), lines.append)
    assert lines == []


def test_whether_there_is_anything_to_score() -> None:
    assert not DenseData(corrupted=True).given
    assert DenseData(still=Path("a")).given
