"""Pictures for the documents: of the frames, and the run, that were asked for."""

from pathlib import Path

import cv2
import numpy as np
import pytest

from benchmarks.document_pictures import make_sheet, save_terminal
from pipeline.view.recorder import Recorder


def test_a_sheet_shows_the_frames_in_order(tmp_path: Path) -> None:
    video = tmp_path / "grey.mp4"
    with Recorder(video) as recorder:
        for number in range(40):
            recorder.write(np.full((240, 320, 3), 5 * number, np.uint8), number * 100_000_000)
    make_sheet(tmp_path / "sheet.png", [f"{video}@{seconds}" for seconds in (0.5, 1.5, 3.0)])
    sheet = cv2.imread(str(tmp_path / "sheet.png"))
    assert sheet is not None
    assert sheet.shape == (2 * 480 + 8, 2 * 640 + 8, 3)
    shown = [sheet[200, 300].mean(), sheet[200, 1000].mean(), sheet[700, 300].mean()]
    assert shown == pytest.approx([25, 75, 150], abs=6)
    assert sheet[700, 1000].tolist() == [255, 255, 255]


def test_a_frame_that_is_not_there_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="has no frame at 9 s"):
        make_sheet(tmp_path / "sheet.png", [f"{tmp_path}/none.mp4@9"])
    assert not (tmp_path / "sheet.png").exists()


def test_without_a_pipeline_there_is_no_terminal(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
    with pytest.raises(ValueError, match="no pipeline runs"):
        save_terminal(tmp_path / "terminal.svg", 0.2)
    assert not (tmp_path / "terminal.svg").exists()
