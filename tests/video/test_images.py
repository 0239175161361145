from pathlib import Path

import cv2
import numpy as np
import pytest

from pipeline.video.open import open_source
from pipeline.video.source import SourceError
from tests.video.clips import options, read_all


def write_image(path: Path, value: int) -> Path:
    cv2.imwrite(str(path), np.full((24, 32, 3), value, np.uint8))
    return path


def test_images_come_in_the_order_in_which_people_count(tmp_path: Path) -> None:
    for number, name in enumerate(["a1.png", "a2.jpg", "a10.bmp", "B1.PNG"]):
        write_image(tmp_path / name, 10 + 50 * number)
    (tmp_path / "notes.txt").write_text("no image")
    pictures = read_all(open_source(str(tmp_path), options(image_fps=10.0)))
    assert [picture.image[0, 0, 0] for picture in pictures] == pytest.approx([10, 60, 110, 160], abs=2)
    assert [picture.pts_ns for picture in pictures] == [0, 100_000_000, 200_000_000, 300_000_000]


def test_damaged_images_are_flagged(tmp_path: Path) -> None:
    write_image(tmp_path / "1.png", 10)
    (tmp_path / "2.png").write_bytes(b"no image")
    (tmp_path / "3.jpg").write_bytes(b"")
    whole = write_image(tmp_path / "4.jpg", 90).read_bytes()
    (tmp_path / "4.jpg").write_bytes(whole[: len(whole) * 2 // 3])
    write_image(tmp_path / "5.jpg", 90)
    damaged = [picture.damaged for picture in read_all(open_source(str(tmp_path), options()))]
    assert damaged == [False, True, True, True, False]


def test_folder_without_images(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match="contains no images") as caught:
        open_source(str(tmp_path), options()).open()
    assert caught.value.kind == "empty"
