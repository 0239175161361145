import torch
from torch import Tensor

from pipeline.training.rendered.weather import light_in_parts, rain, skipped_blocks


def generator() -> torch.Generator:
    return torch.Generator().manual_seed(1)


def frames(value: float = 0.5) -> Tensor:
    return torch.full((4, 3, 3, 48, 80), value)


def test_light_is_smooth_and_grey() -> None:
    lit = light_in_parts(frames(), generator())
    assert 0 <= float(lit.min()) < 0.5 < float(lit.max()) <= 1
    assert torch.equal(lit[:, :, 0], lit[:, :, 2]), "the same for all colours"
    steps = (lit[..., 1:] - lit[..., :-1]).abs().max()
    assert steps < 0.2


def test_rain_brightens_some_places_other_ones_in_each_frame() -> None:
    wet = rain(frames(), generator()) - frames()
    assert wet.min() == 0
    assert 0.001 < float((wet > 0.01).float().mean()) < 0.6
    assert not torch.equal(wet[:, 0], wet[:, 1])


def test_quiet_blocks_are_repeated_and_lively_ones_are_not() -> None:
    clip = frames()
    clip[:, 1:, :, :16, :16] += 0.3
    clip[:, 1:, :, 16:32, 16:32] += 0.001
    shown = skipped_blocks(clip, generator())
    assert torch.equal(shown[:, 0], clip[:, 0])
    assert torch.equal(shown[..., :16, :16], clip[..., :16, :16])
    assert torch.equal(shown[:, 1:, :, 16:32, 16:32], clip[:, :2, :, :16, 64:])
