"""The coarse match finds keys where they are, and stays where nothing tells places apart."""

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from pipeline.model.motion.match import STRIDE, Match

ROWS, COLUMNS = 8, 12


def keys(seed: int = 0) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return F.normalize(torch.randn(2, 32, ROWS, COLUMNS, generator=generator), dim=1)


@torch.no_grad()
@pytest.mark.parametrize(("right", "down"), [(0, 0), (3, 0), (-2, 1), (0, -4)])
def test_keys_that_have_moved_by_whole_cells_are_found(right: int, down: int) -> None:
    match, new = Match(), keys()
    match.log_temperature.fill_(torch.tensor(40.0).log())
    found = match(new, new.roll((down, right), dims=(2, 3)))  # what is at x was at x + right
    y, x = torch.arange(ROWS)[:, None] + down, torch.arange(COLUMNS) + right
    inside = (y >= 0) & (y < ROWS) & (x >= 0) & (x < COLUMNS)
    expected = torch.tensor([right, down]).view(2, 1).float() * STRIDE
    torch.testing.assert_close(
        found.flow[:, :, inside], expected.expand(2, 2, int(inside.sum())), atol=0.05, rtol=0
    )
    assert found.certainty[:, 0, inside].min() > 0.99
    assert found.spread[:, 0, inside].max() < 0.1


@torch.no_grad()
def test_weights_are_a_distribution_over_the_past_frame() -> None:
    match, new, past = Match(), keys(), keys(seed=1)
    found = match(new, past)
    weights = found.scores.softmax(dim=-1)
    torch.testing.assert_close(weights.sum(dim=2), torch.ones(2, ROWS * COLUMNS))
    torch.testing.assert_close(weights.amax(dim=2).view(2, 1, ROWS, COLUMNS), found.certainty)


@torch.no_grad()
def test_where_nothing_tells_places_apart_the_place_stays() -> None:
    flat = keys()[:, :, :1, :1].expand(-1, -1, ROWS, COLUMNS)
    furthest = []
    for nearness in (-20.0, -1.0, 10.0):
        match = Match()
        match.nearness.fill_(nearness)
        furthest.append(float(match(flat, flat).flow.abs().max()))
    assert furthest[0] == pytest.approx((COLUMNS - 1) / 2 * STRIDE, abs=0.01), "without it: to the middle"
    assert furthest[1] < 0.9 * furthest[0]
    assert furthest[2] < 0.1


@torch.no_grad()
def test_what_is_unsure_has_a_wide_spread() -> None:
    match, new = Match(), keys()
    flat = new[:, :, :1, :1].expand_as(new)
    assert match(flat, flat).spread.min() > match(new, new).spread.max()
