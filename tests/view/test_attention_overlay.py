"""Arrows of attention: only where it is sure that something moves."""

import numpy as np
import pytest

from pipeline.view.attention_overlay import draw_motion_arrows
from tests.view.samples import changed, picture
from tests.view.test_attention_maps import field


def test_arrows_only_where_attention_is_clear():
    canvas, clear = picture(), picture()
    motion = field(1, 0)
    motion.confidence[:] = 0.1
    draw_motion_arrows(canvas, motion)
    assert (canvas == clear).all()
    motion.confidence[3, 3] = 0.9
    draw_motion_arrows(canvas, motion)
    rows, columns = np.nonzero(changed(clear, canvas))
    assert 480 * 3 / 7 < rows.min() < rows.max() < 480 * 4 / 7
    assert 640 * 2.4 / 7 < columns.min() < columns.max() < 640 * 3.8 / 7


@pytest.mark.parametrize(("dx", "dy"), [(1, 0), (-1, 0), (0, 1), (0, -1)])
def test_arrow_head_is_at_the_end_of_the_motion(dx, dy):
    canvas, clear = picture(), picture()
    motion = field(dx, dy)
    keep = motion.confidence[3, 3]
    motion.confidence[:] = 0
    motion.confidence[3, 3] = keep
    draw_motion_arrows(canvas, motion)
    ys, xs = np.nonzero(changed(clear, canvas))
    along, across = xs * dx + ys * dy, xs * dy + ys * dx
    front = along > (along.min() + along.max()) / 2
    assert np.ptp(across[front]) > np.ptp(across[~front]) + 2  # the head is wider than the shaft


def test_still_content_gets_no_mark():
    canvas, clear = picture(), picture()
    draw_motion_arrows(canvas, field(0, 0))
    assert (canvas == clear).all()
