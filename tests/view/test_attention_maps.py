import numpy as np
import pytest

from pipeline.view.attention_maps import heat_maps, motion_field, unfold
from tests.view.samples import attention, prediction


def field(dx=0, dy=0, **layout):
    grid = prediction(**{key: value for key, value in layout.items() if key != "depth"}).attention
    return motion_field(unfold(grid, attention(dx, dy, **layout)))


@pytest.mark.parametrize(("dx", "dy"), [(1, 0), (-1, 0), (0, 1), (0, -2), (2, -1)])
def test_arrows_point_where_the_content_went(dx, dy):
    motion = field(dx, dy)
    inner = np.s_[2:-2, 2:-2]  # content that entered at the border has no true match
    moved = (motion.end - motion.start)[inner] * 7
    np.testing.assert_allclose(moved, np.broadcast_to([dx, dy], moved.shape), atol=1e-3)
    np.testing.assert_allclose(motion.confidence[inner], 1, atol=1e-2)


def test_even_attention_has_no_confidence():
    even = np.full((49, 98), 1 / 98, np.float16)
    motion = motion_field(unfold(prediction().attention, even))
    assert motion.confidence.max() < 0.01


def test_slot_without_frame_has_no_confidence():
    weights = unfold(prediction().attention, attention(1, 0, depth=1))
    assert motion_field(weights, slot=0).confidence.max() == 0
    assert motion_field(weights, slot=-1).confidence.min() > 0.9


def test_grids_of_different_size_share_one_scale():
    header = prediction(grid=7).attention
    header = type(header)(query_rows=14, query_columns=14, past=1, rows=7, columns=7)
    weights = np.zeros((14, 14, 1, 7, 7), np.float16)
    for row in range(14):
        for column in range(14):
            weights[row, column, 0, row // 2, column // 2] = 1
    motion = motion_field(unfold(header, weights.reshape(196, 49)))
    assert np.abs(motion.end - motion.start).max() <= 0.5 / 14 + 1e-6


def test_heat_has_one_scale_for_all_slots():
    weights = np.zeros((7, 7, 2, 7, 7), np.float32)
    weights[:, :, 0, 5, 5], weights[:, :, 1, 1, 2] = 0.2, 0.8
    heat = heat_maps(weights)
    assert heat.shape == (2, 7, 7)
    assert heat[1, 1, 2] == heat.max() == pytest.approx(1)
    assert heat[0, 5, 5] == heat[0].max() == pytest.approx(0.25)


def test_heat_without_preference_is_cool():
    even = unfold(prediction().attention, np.full((49, 98), 1 / 98, np.float16))
    np.testing.assert_allclose(heat_maps(even), 1 / 3, rtol=1e-2)


def test_wrong_layout_is_refused():
    with pytest.raises(ValueError, match=r"\(49, 49\).*\(49, 98\)"):
        unfold(prediction().attention, np.zeros((49, 49), np.float16))


def test_thinned_field_keeps_whole_cells():
    thin = field(1, 0, grid=14).thinned(9)
    assert thin.confidence.shape == (7, 7)
    assert set(thin.end[0, :, 0]) <= set(field(1, 0, grid=14).end[0, :, 0])


def test_small_motion_counts_inside_and_not_at_the_border():
    """Attention at the border can stray inwards only, which is no motion."""
    weights = unfold(prediction().attention, attention(0, 0)).copy()
    weights[:, 0, :, :, 1] += 0.18 * weights[:, 0, :, :, 0]
    weights[:, 0, :, :, 0] *= 0.82
    weights[:, 3, :, :, 4] += 0.18 * weights[:, 3, :, :, 3]
    weights[:, 3, :, :, 3] *= 0.82
    motion = motion_field(weights)
    assert not motion.moving[:, 0].any()
    assert motion.moving[1:-1, 3].all()
    assert not motion.moving[:, 1].any()
    assert field(1, 0).moving[2:-2, 2:].all()
    assert field(1, 0, grid=14).thinned(9).moving.shape == (7, 7)
