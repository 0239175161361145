import pytest
import torch

from pipeline.model.architecture import STEM
from pipeline.model.motion.pyramid import (
    CONTEXT_CHANNELS,
    FINE_CHANNELS,
    MATCH_CHANNELS,
    MOTION_STAGES,
    MotionPyramid,
)

CHANNELS = {"layer1": 8, "layer2": 12, "layer3": 16, "layer4": 20}


def features(rows: int, columns: int) -> dict[str, torch.Tensor]:
    """Of a picture with so many places at stride 32."""
    sizes = zip((CHANNELS | {STEM: 64}).items(), (8, 4, 2, 1, 16), strict=True)
    return {stage: torch.randn(2, width, rows * n, columns * n) for (stage, width), n in sizes}


@torch.no_grad()
def test_keys_and_fine_features_have_length_one_so_that_products_are_cosines() -> None:
    torch.manual_seed(0)
    maps = MotionPyramid(CHANNELS)(features(2, 3))
    assert set(maps) == set(MOTION_STAGES)
    assert maps["context"].shape == (2, CONTEXT_CHANNELS, 8, 12)
    assert maps["match"].shape == (2, MATCH_CHANNELS, 8, 12)
    assert maps["fine"].shape == (2, FINE_CHANNELS, 16, 24)
    for stage in ("match", "fine"):
        torch.testing.assert_close(maps[stage].norm(dim=1), torch.ones_like(maps[stage][:, 0]))


@torch.no_grad()
@pytest.mark.parametrize("stage", [STEM, *CHANNELS])
def test_every_stage_of_the_backbone_reaches_the_fine_features(stage: str) -> None:
    torch.manual_seed(0)
    pyramid, seen = MotionPyramid(CHANNELS), features(1, 1)
    before = pyramid(seen)
    after = pyramid(seen | {stage: -seen[stage]})
    assert not torch.allclose(after["fine"], before["fine"])
    assert torch.equal(after["match"], before["match"]) is (stage in (STEM, "layer1"))
