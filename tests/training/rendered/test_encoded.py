"""Rendered clips through real encoders."""

import torch
from torch import Tensor
from torch.nn import functional as F

from pipeline.training.rendered.encoded import encoded


def clips() -> Tensor:
    fine = torch.rand((6, 3, 3, 24, 32), generator=torch.Generator().manual_seed(1))
    return (
        F.interpolate(fine.flatten(0, 1), scale_factor=4.0, mode="bicubic").clamp(0, 1).view(6, 3, 3, 96, 128)
    )


def test_encoded_clips_are_close_to_the_clips_and_not_the_same() -> None:
    frames = clips()
    shown = encoded(frames, torch.Generator().manual_seed(2))
    assert shown.shape == frames.shape
    assert shown.dtype == frames.dtype
    off = (shown - frames).abs().mean(dim=(1, 2, 3, 4))
    assert off.min() > 0.005
    assert off.max() < 0.1
    others = frames.roll(1, dims=0), frames.flip(2), frames.flip(1), frames.flip(3)
    assert all(((shown - other).abs().mean(dim=(1, 2, 3, 4)) > 2 * off).all() for other in others)


def test_the_same_numbers_give_the_same_pictures() -> None:
    frames = clips()
    first, again = (encoded(frames, torch.Generator().manual_seed(2)) for _ in range(2))
    assert torch.equal(first, again)
    assert not torch.equal(first, encoded(frames, torch.Generator().manual_seed(3)))
