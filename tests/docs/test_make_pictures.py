"""Pictures of the documents show the frame, and the run, that was asked for."""

import importlib.util
from pathlib import Path

import numpy as np
import pytest

from pipeline.view.recorder import Recorder

FILE = Path(__file__).parents[2] / "docs" / "make_pictures.py"
spec = importlib.util.spec_from_file_location("make_pictures", FILE)
assert spec is not None
assert spec.loader is not None
make_pictures = importlib.util.module_from_spec(spec)
spec.loader.exec_module(make_pictures)


def test_the_frame_of_a_time_in_the_width_of_the_documents(tmp_path: Path) -> None:
    video = tmp_path / "grey.mp4"
    with Recorder(video) as recorder:
        for number in range(40):
            recorder.write(np.full((240, 320, 3), 5 * number, np.uint8), number * 100_000_000)
    for time_s, value in ((0.5, 25), (1.5, 75), (3.0, 150)):
        frame = make_pictures.frame_at(video, time_s)
        assert frame.shape == (480, 640, 3)
        assert frame.mean() == pytest.approx(value, abs=6)


def test_a_frame_that_is_not_there_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="has no frame at 9 s"):
        make_pictures.frame_at(tmp_path / "none.mp4", 9)


def test_without_a_pipeline_there_is_no_terminal(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
    with pytest.raises(ValueError, match="no pipeline is running"):
        make_pictures.save_terminal(tmp_path / "terminal.svg", 0.2)
    assert not (tmp_path / "terminal.svg").exists()


def test_an_unknown_picture_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        make_pictures.main(["selfie", "--clip", "none.avi"])
    assert "selfie: unknown picture; expected one of: street, overlay" in capsys.readouterr().err
