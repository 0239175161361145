from pathlib import Path

import numpy as np
import pytest

from pipeline.training.evaluation.mask_sequences import find_mask_sequences
from tests.training.evaluation.data_sets import write_cdnet, write_masks, write_picture


def test_cdnet_counts_shadows_as_still_and_judges_neither_85_nor_170(tmp_path: Path) -> None:
    write_cdnet(tmp_path / "baseline" / "street", first=470)
    (sequence,) = find_mask_sequences(tmp_path)
    assert (sequence.name, sequence.kind) == ("baseline/street", "cdnet")
    assert [path.name for path in sequence.frames[:2]] == ["in000470.jpg", "in000471.jpg"]
    assert sorted(sequence.masks) == list(range(12))
    moving, judged = sequence.truth(5)  # the box is at columns 20 to 43
    assert np.argwhere(moving).min(axis=0).tolist() == [40, 20]
    assert np.argwhere(moving).max(axis=0).tolist() == [63, 43]
    assert judged[50, 12:20].all(), "a shadow is judged"
    assert not judged[50, 44:54].any()
    assert not judged[:6].any()
    assert judged.sum() == 90 * 128 - 24 * 10


def test_cdnet_judges_only_its_region_and_its_span_of_time(tmp_path: Path) -> None:
    write_cdnet(tmp_path / "street")
    (tmp_path / "street" / "temporalROI.txt").write_text("7 9\n")
    region = np.zeros((96, 128), np.uint8)
    region[:, 64:] = 255
    write_picture(tmp_path / "street" / "ROI.bmp", region)
    (sequence,) = find_mask_sequences(tmp_path)
    assert len(sequence.frames) == 12
    assert sorted(sequence.masks) == [6, 7, 8], "frames 7 to 9"
    _, judged = sequence.truth(6)
    assert not judged[:, :64].any()
    assert judged[70:, 64:].all()


def test_davis_as_it_is_published_and_with_frames_beside_masks(tmp_path: Path) -> None:
    write_masks(tmp_path / "JPEGImages/480p/camel", tmp_path / "Annotations/480p/camel")
    write_masks(tmp_path / "more" / "dog" / "frames", tmp_path / "more" / "dog" / "masks")
    camel, dog = find_mask_sequences(tmp_path)
    assert (camel.name, dog.name) == ("camel", "more/dog")
    for sequence in (camel, dog):
        assert sequence.kind == "davis"
        moving, judged = sequence.truth(3)
        assert np.argwhere(moving).min(axis=0).tolist() == [40, 12]
        assert judged.all()


def test_frames_are_in_order_of_their_numbers_and_may_lack_masks(tmp_path: Path) -> None:
    write_masks(tmp_path / "frames", tmp_path / "masks", count=12)
    for path in (tmp_path / "frames").iterdir():
        path.rename(path.with_name(f"{int(path.stem)}.jpg"))
    (tmp_path / "masks" / "00004.png").unlink()
    (sequence,) = find_mask_sequences(tmp_path)
    assert [path.stem for path in sequence.frames] == [str(n) for n in range(12)]
    assert sorted(sequence.masks) == [0, 1, 2, 3, 5, 6, 7, 8, 9, 10, 11]


def test_errors_are_one_line(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="no such folder"):
        find_mask_sequences(tmp_path / "none")
    with pytest.raises(ValueError, match="has no sequences with masks; expected input next to"):
        find_mask_sequences(tmp_path)
    write_cdnet(tmp_path / "a", frames=2)
    write_picture(tmp_path / "a" / "ROI.bmp", np.zeros((5, 5), np.uint8))
    with pytest.raises(ValueError, match=r"ROI\.bmp: size differs from gt000001\.png"):
        find_mask_sequences(tmp_path)[0].truth(0)
    (tmp_path / "a" / "temporalROI.txt").write_text("all")
    with pytest.raises(ValueError, match=r"temporalROI\.txt: expected two numbers"):
        find_mask_sequences(tmp_path)
    (tmp_path / "a" / "temporalROI.txt").write_text("3 9")
    with pytest.raises(ValueError, match="no scored frame"):
        find_mask_sequences(tmp_path)
    write_masks(tmp_path / "unused", tmp_path / "b" / "Annotations" / "480p" / "dog", count=2)
    with pytest.raises(ValueError, match="no such folder of frames"):
        find_mask_sequences(tmp_path / "b")
