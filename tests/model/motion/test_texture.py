import math

import pytest
import torch
from torch.nn import functional as F

from pipeline.model.architecture import TEXTURE_CHANNELS
from pipeline.model.motion.texture import Texture


def picture(seed: int = 0, size: int = 64) -> torch.Tensor:
    noise = torch.randn(1, 3, size // 4, size // 4, generator=torch.Generator().manual_seed(seed))
    return F.interpolate(noise, size=(size, size), mode="bicubic")


@torch.no_grad()
def test_four_places_of_the_texture_lie_in_a_place_of_the_fine_features() -> None:
    found = Texture()(picture())
    assert found.shape == (1, 4 * TEXTURE_CHANNELS, 16, 16)
    moved = Texture()(picture().roll(2, dims=3))
    here, there = (F.pixel_shuffle(x, 2)[..., 8:-8, 8:-8] for x in (found, moved))
    assert (here[..., :-1] - there[..., 1:]).abs().max() < 0.15  # all but for the contrast around
    assert (here - there).abs().max() > 1


@torch.no_grad()
@pytest.mark.parametrize(("gain", "offset"), [(0.5, 0.0), (2.0, 0.0), (1.0, 3.0)])
def test_light_that_changes_leaves_the_texture_as_it_is(gain: float, offset: float) -> None:
    before, after = (Texture()(x) for x in (picture(), picture() * gain + offset))
    assert (before - after).abs().mean() < 0.01 * before.abs().mean()


@torch.no_grad()
def test_what_lies_below_the_floor_is_no_texture() -> None:
    texture = Texture()
    faint = texture(picture() * 1e-3)
    assert faint.abs().max() < 0.1
    texture.log_floor.fill_(math.log(1e-5))
    assert texture(picture() * 1e-3).square().mean() == pytest.approx(1, abs=0.3)


@torch.no_grad()
def test_a_place_is_seen_where_it_lies() -> None:
    spot = torch.zeros(1, 3, 64, 64)
    spot[:, :, 30:32, 36:38] = 5.0  # all of one place at stride 2
    energy = F.pixel_shuffle(Texture()(spot), 2).square().sum(dim=1)[0]
    rows, columns = torch.meshgrid(torch.arange(32.0), torch.arange(32.0), indexing="ij")
    assert (energy * rows).sum() / energy.sum() == pytest.approx(15, abs=0.01)
    assert (energy * columns).sum() / energy.sum() == pytest.approx(18, abs=0.01)
