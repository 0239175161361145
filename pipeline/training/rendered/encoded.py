"""Passes rendered clips through real JPEG and H.264 encoders."""

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import torch
from torch import Tensor

from pipeline.base.frame import Image
from pipeline.training.codecs import through_h264, through_jpeg

_QUALITY, _CRF = (8, 70), (20, 38)


def encoded(frames: Tensor, generator: torch.Generator) -> Tensor:
    """Encodes half of the clips as JPEG images and half as H.264 starting at the oldest frame.

    Args:
        frames: RGB between 0 and 1, ``(n, T, 3, H, W)``.
        generator: Random generator.
    """
    amount = torch.rand((len(frames),), generator=generator, device=frames.device).tolist()
    pictures = (frames.flip(2).clamp(0, 1) * 255).round().to(torch.uint8).permute(0, 1, 3, 4, 2).cpu().numpy()
    with ThreadPoolExecutor() as pool:
        shown = list(pool.map(_through, pictures, range(len(frames)), amount))
    sent = torch.from_numpy(np.ascontiguousarray(np.stack(shown)[..., ::-1])).to(frames.device)
    return sent.permute(0, 1, 4, 2, 3).to(frames.dtype) / 255


def _through(clip: np.ndarray, number: int, amount: float) -> list[Image]:
    def between(low: int, high: int) -> int:
        return round(low + (high - low) * amount)

    if number % 2:
        return through_h264(list(clip), between(*_CRF))
    return [through_jpeg(picture, between(*_QUALITY)) for picture in clip]
