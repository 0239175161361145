from pathlib import Path

import numpy as np
import pytest

from pipeline.view.maps_folder import MapsFolder, MapsFolderError
from pipeline.wire.motion_maps import MotionMaps
from tests.wire.peers import prediction

MAPS = MotionMaps(
    np.arange(2 * 2 * 4 * 5, dtype=np.float16).reshape(2, 2, 4, 5), np.full((4, 5), 200, np.uint8)
)


def test_each_prediction_is_a_file_that_numpy_reads(tmp_path: Path) -> None:
    folder = MapsFolder(tmp_path / "new" / "maps")
    for seq in range(3):
        folder.write(prediction(seq, stream_id="door", capture_ns=1000 + seq), MAPS)
    folder.write(prediction(0, stream_id="手" * 64), MAPS)
    assert sorted(path.name for path in (tmp_path / "new/maps/door").iterdir()) == [
        "1000.npz",
        "1001.npz",
        "1002.npz",
    ]
    with np.load(tmp_path / "new" / "maps" / "door" / "1002.npz", allow_pickle=False) as file:
        np.testing.assert_array_equal(file["flow"], MAPS.flow)
        np.testing.assert_array_equal(file["moving"], MAPS.moving)
        assert (file["flow"].dtype, file["moving"].dtype) == (np.float16, np.uint8)
        assert file["age_ms"].tolist() == [33.0]
        assert (int(file["epoch"]), int(file["seq"])) == (0, 2)


def test_a_folder_that_can_not_be_made_is_reported(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(MapsFolderError, match="file/maps: can't be written: "):
        MapsFolder(tmp_path / "file" / "maps")


def test_a_full_disk_leaves_whole_files_only(small_disk: Path) -> None:
    folder = MapsFolder(small_disk / "maps")
    noise = np.random.default_rng(0).integers(0, 255, (200, 200), np.uint8)
    large = MotionMaps(np.zeros((2, 2, 200, 200), np.float16), noise)
    with pytest.raises(MapsFolderError, match="can't be written: no space left on device"):  # noqa: PT012
        for number in range(1000):
            folder.write(prediction(0, capture_ns=number), large)
    files = list((small_disk / "maps" / "door").iterdir())
    assert files
    for path in files:
        with np.load(path) as file:
            np.testing.assert_array_equal(file["moving"], noise)
