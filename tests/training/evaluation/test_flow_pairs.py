from pathlib import Path

import numpy as np
import pytest

from pipeline.training.evaluation.flow_pairs import find_flow_pairs
from tests.training.evaluation.data_sets import (
    shifted_pair,
    write_flo,
    write_kitti,
    write_npz_pair,
    write_picture,
)

NEW, PAST, FLOW = shifted_pair(3, -2)


def check(folder: Path, *names: str) -> None:
    pairs = find_flow_pairs(folder)
    assert [pair.name for pair in pairs] == list(names)
    for pair in pairs:
        new, past, truth = pair.read()
        assert np.array_equal(new, NEW)
        assert np.array_equal(past, PAST)
        assert np.array_equal(truth, FLOW)


def test_middlebury_in_one_folder_a_pair_or_as_it_is_published(tmp_path: Path) -> None:
    for pictures, flows in (("one/Grove2", "one/Grove2"), ("two/data/Urban2", "two/gt-flow/Urban2")):
        write_picture(tmp_path / pictures / "frame10.png", NEW)
        write_picture(tmp_path / pictures / "frame11.png", PAST)
        write_flo(tmp_path / flows / "flow10.flo", FLOW)
    check(tmp_path / "one", "Grove2")
    check(tmp_path / "one" / "Grove2", "Grove2")
    check(tmp_path / "two", "gt-flow/Urban2")


def test_kitti(tmp_path: Path) -> None:
    for number in range(2):
        write_picture(tmp_path / "training" / "image_2" / f"{number:06d}_10.png", NEW)
        write_picture(tmp_path / "training" / "image_2" / f"{number:06d}_11.png", PAST)
        flows = tmp_path / "training" / "flow_occ"
        write_kitti(flows / f"{number:06d}_10.png", FLOW, np.ones(FLOW.shape[:2], np.bool_))
    check(tmp_path, "training/000000", "training/000001")


def test_sintel_in_both_passes(tmp_path: Path) -> None:
    for kind in ("clean", "final"):
        for number, picture in ((9, NEW), (10, PAST)):
            write_picture(tmp_path / kind / "alley_1" / f"frame_{number:04d}.png", picture)
    write_flo(tmp_path / "flow" / "alley_1" / "frame_0009.flo", FLOW)
    check(tmp_path, "clean/alley_1/0009", "final/alley_1/0009")


def test_npz_beside_a_and_b(tmp_path: Path) -> None:
    write_npz_pair(tmp_path / "second", NEW, PAST, FLOW)
    write_npz_pair(tmp_path / "first", NEW, PAST, FLOW)
    check(tmp_path, "first", "second")


def test_errors_are_one_line(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="no such folder"):
        find_flow_pairs(tmp_path / "none")
    with pytest.raises(ValueError, match="has no image pairs with ground-truth flow; expected frame10"):
        find_flow_pairs(tmp_path)
    write_npz_pair(tmp_path / "one", NEW, PAST, FLOW)
    pair = find_flow_pairs(tmp_path)[0]
    np.savez(pair.truth, flow=np.full_like(FLOW, np.nan))
    with pytest.raises(ValueError, match="has no known flow"):
        pair.read()
    np.savez(pair.truth, flow=FLOW[:-1])
    with pytest.raises(ValueError, match="different sizes: 128x96, 128x96, 128x95"):
        pair.read()
    pair.past.unlink()
    with pytest.raises(ValueError, match=r"b\.png: can't be read"):
        pair.read()
