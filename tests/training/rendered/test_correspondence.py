import pytest
import torch

from pipeline.training.rendered.correspondence import match_loss, past_places

GRID = (7, 7)


def windows(x: float = 0.0, y: float = 0.0, scale: float = 1.0) -> torch.Tensor:
    """Two past frames moved and scaled against the newest one."""
    still = torch.tensor([[1.0, 0.0, 0.0], [0.0, 1.0, 0.0]])
    moved = torch.tensor([[scale, 0.0, x], [0.0, scale, y]])
    return torch.stack((moved, moved, still))[None]


def uniform() -> torch.Tensor:
    return torch.full((1, 49, 98), 1 / 98)


def looking_at(places: torch.Tensor) -> torch.Tensor:
    """Attention whose whole weight lies in the nearest cell."""
    cells = places.round().long().clamp(0, 6)
    index = cells[..., 1] * 7 + cells[..., 0]
    return torch.nn.functional.one_hot(index, 49).float().transpose(1, 2).flatten(2) / 2


def test_a_still_camera_keeps_every_place() -> None:
    places = past_places(windows(), *GRID)
    assert torch.allclose(places[0, 0, 0], torch.zeros(2), atol=1e-5)
    assert torch.allclose(places[0, 1, -1], torch.tensor([6.0, 6.0]), atol=1e-5)


def test_a_camera_that_moved_right_sees_the_place_further_left_now() -> None:
    """The past window was left of the present one, so the content stood further right in it."""
    places = past_places(windows(x=-2 / 7), *GRID)
    assert torch.allclose(places[0, 0, 0], torch.tensor([1.0, 0.0]), atol=1e-5)


def test_zooming_in_moves_places_away_from_the_middle() -> None:
    places = past_places(windows(scale=2.0), *GRID)
    assert torch.allclose(places[0, 0, 24], torch.tensor([3.0, 3.0]), atol=1e-5)
    assert torch.allclose(places[0, 0, 27], torch.tensor([4.5, 3.0]), atol=1e-5)


def test_looking_at_the_true_place_costs_nothing_and_elsewhere_more_than_nowhere() -> None:
    past, moved = torch.ones(1, 2, dtype=torch.bool), windows(x=-2 / 7)
    true = match_loss(looking_at(past_places(moved, *GRID)), moved, past, GRID)
    wrong = match_loss(looking_at(past_places(windows(), *GRID)), moved, past, GRID)
    assert true < 1e-4
    assert true < match_loss(uniform(), moved, past, GRID) < wrong


def test_slots_that_were_not_seen_do_not_count() -> None:
    moved = windows(x=-2 / 7)
    only_newer = torch.tensor([[False, True]])
    weights = looking_at(past_places(moved, *GRID))
    weights[..., :49] = 0
    assert match_loss(weights, moved, only_newer, GRID) < 1e-4
    assert match_loss(weights, moved, torch.zeros(1, 2, dtype=torch.bool), GRID) == 0


def test_each_scale_is_asked_for_the_same_place_in_its_own_cells() -> None:
    moved, past = windows(x=2 / 7), torch.ones(1, 2, dtype=torch.bool)
    coarse, fine = past_places(moved, *GRID), past_places(moved, *GRID, (14, 14))
    assert torch.allclose(fine, 2 * coarse + 0.5, atol=1e-4)
    blind = torch.full((1, 49, 2 * (49 + 196)), 1 / (2 * (49 + 196)))
    expected = (torch.log(torch.tensor(49.0)) + torch.log(torch.tensor(196.0))) / 2
    assert float(match_loss(blind, moved, past, GRID, [GRID, (14, 14)])) == pytest.approx(
        float(expected), rel=1e-4
    )
    here = looking_at(coarse).view(1, 49, 2, 49)
    half_seeing = torch.cat((here, torch.full((1, 49, 2, 196), 1 / 392)), dim=-1).flatten(2)
    assert float(match_loss(half_seeing, moved, past, GRID, [GRID, (14, 14)])) == pytest.approx(
        float(torch.log(torch.tensor(196.0))) / 2, rel=1e-4
    )
