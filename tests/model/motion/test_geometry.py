"""Places, warping and local correlation, against what they mean written out."""

import pytest
import torch
from torch import Tensor

from pipeline.model.motion.geometry import doubled, local_correlation, places, signed_log, warp


def maps(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def test_places_are_centres_of_cells_from_the_middle_of_the_picture() -> None:
    where = places((2, 3), 8, torch.zeros(1))
    assert where[0].tolist() == [[-8, 0, 8]] * 2, "x grows to the right"
    assert where[1].tolist() == [[-4] * 3, [4] * 3], "y grows downwards"
    assert where.dtype == torch.float32
    assert places((5, 4), 4, torch.zeros(1, dtype=torch.bfloat16)).sum() == 0


@pytest.mark.parametrize(("rows", "columns"), [(5, 7), (1, 9), (6, 2), (3, 3)])
@pytest.mark.parametrize("radius", [1, 2, 3, 4])
def test_local_correlation_is_a_dot_product_for_each_offset(rows: int, columns: int, radius: int) -> None:
    here, there = maps(2, 3, rows, columns), maps(2, 3, rows, columns, seed=1)
    side = 2 * radius + 1
    expected = torch.zeros(2, side * side, rows, columns)
    for dy in range(-radius, radius + 1):
        for dx in range(-radius, radius + 1):
            for y in range(max(0, -dy), min(rows, rows - dy)):
                for x in range(max(0, -dx), min(columns, columns - dx)):
                    product = (here[:, :, y, x] * there[:, :, y + dy, x + dx]).sum(dim=1)
                    expected[:, (dy + radius) * side + dx + radius, y, x] = product
    torch.testing.assert_close(local_correlation(here, there, radius), expected, atol=1e-5, rtol=1e-5)


def test_beyond_the_border_the_correlation_is_exactly_zero() -> None:
    ones = torch.ones(1, 2, 4, 6)
    found = local_correlation(ones, ones, 1)
    assert found[0, 0, 0].tolist() == [0] * 6, "nothing is above the first row"
    assert found[0, 2, :, -1].tolist() == [0] * 4, "nor right of the last column"
    assert found[0, 4].eq(2).all()


@pytest.mark.parametrize(("right", "down"), [(2, 0), (0, -1), (-3, 2)])
def test_a_warp_by_whole_cells_moves_the_map_and_fills_with_zeros(right: int, down: int) -> None:
    past, stride = maps(2, 3, 5, 8), 4
    flow = torch.tensor([right, down]).mul(stride).view(1, 2, 1, 1).expand(2, 2, 5, 8).float()
    expected = past.roll((-down, -right), dims=(2, 3))
    y, x = torch.arange(5)[:, None] + down, torch.arange(8) + right
    inside = (y >= 0) & (y < 5) & (x >= 0) & (x < 8)
    torch.testing.assert_close(warp(past, flow, stride), expected * inside, atol=1e-4, rtol=0)


def test_a_warp_by_half_a_cell_is_the_mean_of_two() -> None:
    past = maps(1, 2, 3, 6)
    flow = torch.tensor([4.0, 0.0]).view(1, 2, 1, 1).expand(1, 2, 3, 6)
    found = warp(past, flow, 8)
    torch.testing.assert_close(found[..., :-1], (past[..., :-1] + past[..., 1:]) / 2, atol=1e-5, rtol=0)


def test_half_precision_maps_are_looked_up_at_exact_places() -> None:
    ramp = torch.arange(96.0).expand(1, 1, 2, 96)
    flow = torch.tensor([0.0, 0.0]).view(1, 2, 1, 1).expand(1, 2, 2, 96)
    found = warp(ramp.bfloat16(), flow, 4)
    assert found.dtype == torch.bfloat16
    assert torch.equal(found.float(), ramp)


def test_doubled_maps_keep_their_places() -> None:
    coarse, fine = places((3, 5), 8, torch.zeros(1)), places((6, 10), 4, torch.zeros(1))
    inside = doubled(coarse[None])[0, :, 1:-1, 1:-1]
    torch.testing.assert_close(inside, fine[:, 1:-1, 1:-1])


def test_the_signed_logarithm_is_the_inverse_hyperbolic_sine() -> None:
    x = torch.cat((torch.linspace(-50, 50, 1001), torch.linspace(-1e-3, 1e-3, 101)))
    torch.testing.assert_close(signed_log(x), torch.asinh(x), atol=1e-6, rtol=1e-4)
