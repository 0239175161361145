"""The banner across a picture whose camera does not see."""

import numpy as np
import pytest

from pipeline.view.banner import draw_banner


@pytest.mark.parametrize("size", [(640, 480), (320, 240), (1920, 1080), (120, 96)])
def test_the_banner_lies_across_the_middle_and_its_text_stays_inside(size: tuple[int, int]) -> None:
    width, height = size
    canvas = np.full((height, width, 3), 60, np.uint8)
    box = draw_banner(canvas, "image overexposed for 119 min")
    assert (box.x, box.right) == (0, width)
    assert box.y <= height // 2 < box.bottom
    outside = np.delete(canvas, np.s_[box.y : box.bottom], axis=0)
    assert (outside == 60).all()
    band = canvas[box.y : box.bottom]
    assert (band[0, :, 2] > 200).all()
    assert (band.min(axis=2) > 240).any(), "white letters"
    assert (band[:, [0, -1]].min(axis=2) < 120).all(), "none at the edges"
