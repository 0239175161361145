import pytest
import torch
from torch.nn import functional as F

from pipeline.model.architecture import (
    CONTEXT_CHANNELS,
    FINE_CHANNELS,
    KEPT_FINE_CHANNELS,
    MATCH_CHANNELS,
    MOTION_STAGES,
    PICTURE,
    TEXTURE_CHANNELS,
)
from pipeline.model.motion.pyramid import MotionPyramid, unpacked

CHANNELS = {"layer1": 8, "layer2": 12, "layer3": 16, "layer4": 20}


def features(rows: int, columns: int) -> dict[str, torch.Tensor]:
    """Of a picture with so many places at stride 32."""
    sizes = zip(CHANNELS.items(), (8, 4, 2, 1), strict=True)
    maps = {stage: torch.randn(2, width, rows * n, columns * n) for (stage, width), n in sizes}
    return maps | {PICTURE: torch.randn(2, 3, rows * 32, columns * 32)}


@torch.no_grad()
def test_keys_and_fine_features_have_length_one_so_that_products_are_cosines() -> None:
    torch.manual_seed(0)
    maps = MotionPyramid(CHANNELS)(features(2, 3))
    assert set(maps) == set(MOTION_STAGES)
    assert maps["context"].shape == (2, CONTEXT_CHANNELS, 8, 12)
    assert maps["match"].shape == (2, MATCH_CHANNELS, 8, 12)
    assert maps["fine"].shape == (2, KEPT_FINE_CHANNELS, 16, 24)
    fine, _ = unpacked(maps["fine"])
    for found in (maps["match"], fine):
        torch.testing.assert_close(found.norm(dim=1), torch.ones_like(found[:, 0]))


@torch.no_grad()
def test_the_texture_travels_with_the_fine_features() -> None:
    torch.manual_seed(0)
    pyramid, seen = MotionPyramid(CHANNELS), features(2, 3)
    fine, texture = unpacked(pyramid(seen)["fine"])
    assert fine.shape == (2, FINE_CHANNELS, 16, 24)
    assert texture.shape == (2, TEXTURE_CHANNELS, 32, 48)
    torch.testing.assert_close(F.pixel_unshuffle(texture, 2), pyramid.texture(seen[PICTURE]))


@torch.no_grad()
@pytest.mark.parametrize("stage", [PICTURE, "layer1", "layer2", "layer3"])
def test_every_stage_but_the_last_reaches_the_fine_features(stage: str) -> None:
    torch.manual_seed(0)
    pyramid, seen = MotionPyramid(CHANNELS), features(1, 1)
    before = pyramid(seen)
    after = pyramid(seen | {stage: -seen[stage]})
    assert not torch.allclose(after["fine"], before["fine"])
    assert torch.equal(after["match"], before["match"]) is (stage in (PICTURE, "layer1"))
