from pathlib import Path

import cv2
import pytest

from pipeline.training.evaluation.confusion_plot import draw_confusions, need_matplotlib
from tests.support import need_module


def test_picture_of_several_matrices(tmp_path: Path) -> None:
    need_module("matplotlib", "matplotlib")
    matrices = {f"run {n}": [[3, n], [0, 0]] for n in range(4)}
    draw_confusions(matrices, ["open", "shut"], tmp_path / "a.png")
    picture = cv2.imread(str(tmp_path / "a.png"))
    assert (picture < 128).any()
    with pytest.raises(ValueError, match="xyz"):
        draw_confusions(matrices, ["open", "shut"], tmp_path / "a.xyz")
    for name in ("a.xyz", "a"):
        with pytest.raises(ValueError, match="must end in"):
            need_matplotlib(tmp_path / name)
