from pathlib import Path

import numpy as np
import pytest

from pipeline.training.evaluation.camera_sequences import find_camera_sequences
from tests.training.evaluation.data_sets import textured, write_picture


def write_sequence(folder: Path, spacing: int = 3, numbers: range = range(150, 156)) -> None:
    for number in numbers:
        write_picture(folder / f"{number:04d}.jpg", textured(32, 64))
    flow = np.ones((8, 16, 2), np.float16)
    truths = {f"{number:04d}": flow * number for number in numbers[spacing:]}
    np.savez(folder / f"flow_to_{spacing}_before.npz", **truths)


def test_frames_and_the_flow_to_frames_before_them(tmp_path: Path) -> None:
    write_sequence(tmp_path / "room")
    write_sequence(tmp_path / "hall", spacing=1)
    hall, room = find_camera_sequences(tmp_path)
    assert (hall.name, hall.spacing) == ("hall", 1)
    assert (room.name, room.spacing) == ("room", 3)
    assert sorted(room.frames) == list(range(150, 156))
    assert room.frames[152].name == "0152.jpg"
    assert {number: flow[0, 0].tolist() for number, flow in room.truth.items()} == {
        153: [153, 153],
        154: [154, 154],
        155: [155, 155],
    }


def test_errors_are_one_line(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="no such folder"):
        find_camera_sequences(tmp_path / "none")
    (tmp_path / "flow_to_0_before.npz").write_bytes(b"")
    with pytest.raises(ValueError, match="has no sequences; expected numbered images"):
        find_camera_sequences(tmp_path)
    write_sequence(tmp_path / "room")
    (tmp_path / "room" / "0151.jpg").unlink()
    with pytest.raises(ValueError, match="image number 151 is missing"):
        find_camera_sequences(tmp_path)
    for content, message in ((b"text", "can't be read"), (None, "is empty")):
        file = tmp_path / "room" / "flow_to_3_before.npz"
        if content is None:
            np.savez(file)
        else:
            file.write_bytes(content)
        with pytest.raises(ValueError, match=message) as error:
            find_camera_sequences(tmp_path)
        assert "\n" not in str(error.value)
