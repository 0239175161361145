from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np
import pytest

from pipeline.base.frame import Image
from pipeline.training.evaluation.footage import Footage


def write_film(path: Path, pictures: Sequence[Image], fps: float = 10) -> Path:
    """Motion JPEG, so that each picture is as it was drawn, nearly."""
    height, width = pictures[0].shape[:2]
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"MJPG"), fps, (width, height))
    for picture in pictures:
        writer.write(picture)
    writer.release()
    return path


def numbered(count: int) -> list[Image]:
    """Pictures whose brightness is three times their number."""
    return [np.full((48, 64, 3), 3 * number, np.uint8) for number in range(count)]


def number_of(image: Image) -> int:
    return round(float(image.mean()) / 3)


def test_windows_are_spaced_in_time(tmp_path: Path) -> None:
    footage = Footage(write_film(tmp_path / "a.avi", numbered(12), fps=20), 2, spacing_ms=100)
    assert (footage.frames, footage.size, footage.cut) == (12, (64, 48), False)
    assert footage.windows.tolist() == [[0, 1, 3], *([n - 4, n - 2, n] for n in range(4, 12))]
    walked = [(index, [number_of(image) for image in images]) for index, images in footage.walk([1, 4, 4, 8])]
    assert walked == [(1, [0, 2, 4]), (4, [3, 5, 7]), (4, [3, 5, 7]), (8, [7, 9, 11])]


def test_looks_at_the_first_frames_of_a_long_video(tmp_path: Path) -> None:
    footage = Footage(write_film(tmp_path / "a.avi", numbered(12)), 1, spacing_ms=0, most_frames=5)
    assert (footage.frames, footage.cut, len(footage.windows)) == (5, True, 4)


def test_what_is_not_a_video(tmp_path: Path) -> None:
    text = tmp_path / "text.mp4"
    text.write_text("not a video")
    with pytest.raises(ValueError, match=r"text\.mp4.*not a video"):
        Footage(text, 2, 100)
    with pytest.raises(ValueError, match="no such file"):
        Footage(tmp_path / "none.mp4", 2, 100)
    with pytest.raises(ValueError, match="too short: it has 2 frames, a window needs 3, 100 ms apart"):
        Footage(write_film(tmp_path / "a.avi", numbered(2)), 2, 100)
