import torch

from pipeline.model.positions import Positions


def test_grids_of_different_scale_agree_about_the_place() -> None:
    coarse, fine = Positions((7, 7), 64, 4), Positions((14, 14), 64, 4)
    pooled = torch.nn.functional.avg_pool2d(fine(14, 14).T.reshape(1, 64, 14, 14), 2).flatten(2)[0].T
    assert torch.nn.functional.cosine_similarity(pooled, coarse(7, 7)).min() > 0.95


def test_other_grids_are_interpolated() -> None:
    positions = Positions((7, 7), 64, 4)
    truth = Positions((9, 5), 64, 4)
    assert positions(9, 5).shape == (45, 64)
    assert torch.nn.functional.cosine_similarity(positions(9, 5), truth(9, 5)).mean() > 0.95


def test_each_head_tells_all_places_apart() -> None:
    table = Positions((7, 7), 64, 4)(7, 7)
    for head in table.split(16, dim=1):
        distances = torch.cdist(head, head) + 1e3 * torch.eye(49)
        assert distances.min() > 0.3


def test_a_shift_is_readable_from_the_difference() -> None:
    """A linear map finds the displacement between two places from the difference of their codes."""
    table = Positions((7, 7), 64, 4)(7, 7).detach()
    places = torch.cartesian_prod(torch.arange(7.0), torch.arange(7.0))
    near = ((places[:, None] - places[None]).abs().amax(-1) <= 1).nonzero()
    codes = table[near[:, 0]] - table[near[:, 1]]
    shifts = places[near[:, 0]] - places[near[:, 1]]
    found = codes @ torch.linalg.lstsq(codes, shifts, driver="gelsd").solution
    assert (found - shifts).square().mean() < 0.05


def test_odd_widths() -> None:
    assert Positions((3, 2), 30, 3)(3, 2).shape == (6, 30)
