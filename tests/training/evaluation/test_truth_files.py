from pathlib import Path

import numpy as np
import pytest

from pipeline.training.evaluation.truth_files import name_below, read_flow, read_mask, read_picture
from tests.training.evaluation.data_sets import textured, write_flo, write_kitti, write_picture

FLOW = np.random.default_rng(0).integers(-640, 640, (5, 7, 2)).astype(np.float32) / 64
"""In steps that a KITTI picture can hold."""


def test_a_flo_file_is_read_and_its_huge_values_are_unknown(tmp_path: Path) -> None:
    stored = FLOW.copy()
    stored[1, 2] = 1666666752.0, 1666666752.0
    stored[3, 4, 1] = np.nan
    found = read_flow(write_flo(tmp_path / "a.flo", stored))
    unknown = np.isnan(found).all(axis=2)
    assert np.argwhere(unknown).tolist() == [[1, 2], [3, 4]]
    assert np.array_equal(found[~unknown], FLOW[~unknown])


def test_a_kitti_picture_is_read_with_x_first_and_its_invalid_places_are_unknown(tmp_path: Path) -> None:
    valid = np.ones((5, 7), np.bool_)
    valid[2, 3] = False
    found = read_flow(write_kitti(tmp_path / "000000_10.png", FLOW, valid))
    assert np.array_equal(~np.isnan(found).any(axis=2), valid)
    assert np.array_equal(found[valid], FLOW[valid])


def test_an_npz_file_is_read_as_floats(tmp_path: Path) -> None:
    np.savez(tmp_path / "flow.npz", flow=FLOW.astype(np.float16))
    found = read_flow(tmp_path / "flow.npz")
    assert found.dtype == np.float32
    assert np.allclose(found, FLOW, atol=0.01)


def test_pictures_are_bgr_and_masks_grey(tmp_path: Path) -> None:
    picture = textured(4, 6)
    assert np.array_equal(read_picture(write_picture(tmp_path / "a.png", picture)), picture)
    labels = np.arange(24, dtype=np.uint8).reshape(4, 6)
    assert np.array_equal(read_mask(write_picture(tmp_path / "b.png", labels)), labels)


def test_what_cannot_be_read_is_one_line_with_the_file(tmp_path: Path) -> None:
    whole = write_flo(tmp_path / "whole.flo", FLOW).read_bytes()
    files = {
        "cut.flo": whole[:-8],
        "huge.flo": whole[:4] + b"\xff\xff\xff\x7f" * 2 + whole[12:],
        "other.flo": b"\0" + whole[1:],
        "text.flo": b"text",
        "text.png": b"text",
        "empty.png": b"",
        "text.npz": b"text",
    }
    for name, content in files.items():
        (tmp_path / name).write_bytes(content)
    np.savez(tmp_path / "nothing.npz", other=FLOW)
    np.savez(tmp_path / "flat.npz", flow=FLOW[..., 0])
    write_picture(tmp_path / "bytes.png", textured(5, 7))
    for name in (*files, "nothing.npz", "flat.npz", "bytes.png", "none.png", "none.flo", "none.npz"):
        with pytest.raises(ValueError, match=name) as error:
            read_flow(tmp_path / name)
        assert "\n" not in str(error.value)
    for read in (read_picture, read_mask):
        for name in ("none.png", "text.png"):
            with pytest.raises(ValueError, match=name):
                read(tmp_path / name)


def test_a_place_is_named_by_the_way_to_it() -> None:
    assert name_below(Path("a"), Path("a/b/c")) == "b/c"
    assert name_below(Path("a/b"), Path("a/b")) == "b"
