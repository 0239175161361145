import numpy as np

from pipeline.scene.motion_grid import SIDE, motion_grid


def test_a_part_that_goes_left_and_up_is_where_it_is_in_widths_a_second() -> None:
    """A picture of 192 x 144 px in places of 4 px; 200 ms ago the upper right quarter was right and below."""
    flow = np.zeros((2, 36, 48), np.float16)
    flow[0, :18, 24:] = 9.6  # 0.05 widths in 0.2 s
    flow[1, :18, 24:] = 4.8
    grid = motion_grid(flow, 4, 200.0, 7)
    cells = np.frombuffer(grid.cells, np.int8).reshape(SIDE, SIDE, 2)
    assert (cells[:12, 12:] == [-16, -8]).all()
    assert np.count_nonzero(cells) == 12 * 12 * 2
    assert grid.wall_ns == 7


def test_what_is_too_fast_for_a_byte_stays_its_fastest() -> None:
    flow = np.full((2, 4, 4), -100.0, np.float16)
    assert set(np.frombuffer(motion_grid(flow, 4, 1.0, 0).cells, np.int8).tolist()) == {127}
