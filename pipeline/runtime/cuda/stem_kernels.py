"""Triton kernels before and after the first convolution: pixels to input, and pooling."""

import torch
import triton
import triton.language as tl
from torch import Tensor

CHANNELS = 4
"""Channels of a frame: red, green, blue and zeros; convolutions of four channels are faster than of three."""


@triton.jit  # type: ignore[untyped-decorator]
def _normalise(pixels, factor, offset, frames, count, BLOCK: tl.constexpr):  # type: ignore[no-untyped-def]
    """Converts blue-green-red pixels to normalised red, green and blue, and a channel of zeros."""
    p = tl.program_id(0) * BLOCK + tl.arange(0, BLOCK)
    c = tl.arange(0, 4)
    colour = (p < count)[:, None] & (c < 3)[None, :]
    value = tl.load(pixels + p[:, None] * 3 + (2 - c)[None, :], mask=colour, other=0).to(tl.float32)
    value = value * tl.load(factor + c, mask=c < 3, other=0.0)[None, :]
    value += tl.load(offset + c, mask=c < 3, other=0.0)[None, :]
    place = frames + p[:, None] * 4 + c[None, :]
    tl.store(place, value.to(frames.dtype.element_ty), mask=(p < count)[:, None])


@triton.jit  # type: ignore[untyped-decorator]
def _max_pool(  # type: ignore[no-untyped-def]
    x, out, count, height, width, rows, columns, C: tl.constexpr, TALL: tl.constexpr
):
    """Computes some positions of the result for all channels."""
    p = tl.program_id(0) * TALL + tl.arange(0, TALL)
    c = tl.arange(0, C)
    inside = p < count
    column, row, image = p % columns, p // columns % rows, p // columns // rows
    best = tl.full((TALL, C), float("-inf"), tl.float32)
    for tap in tl.static_range(9):
        y = row * 2 + tap // 3 - 1
        z = column * 2 + tap % 3 - 1
        there = inside & (y >= 0) & (y < height) & (z >= 0) & (z < width)
        at = ((image * height + y) * width + z)[:, None] * C + c[None, :]
        best = tl.maximum(best, tl.load(x + at, mask=there[:, None], other=float("-inf")).to(tl.float32))
    tl.store(out + p[:, None] * C + c[None, :], best.to(out.dtype.element_ty), mask=inside[:, None])


def normalise(pixels: Tensor, factor: Tensor, offset: Tensor, dtype: torch.dtype) -> Tensor:
    """Normalised frames ``(n, 4, rows, columns)`` in channels-last layout.

    Args:
        pixels: ``(n, rows, columns, 3)`` uint8, blue-green-red.
        factor: By channel, red first: values are normalised by ``value * factor + offset``.
        offset: See ``factor``.
        dtype: Type of the frames.
    """
    frames = torch.empty(*pixels.shape[:3], CHANNELS, dtype=dtype, device=pixels.device)
    count, block = frames.numel() // CHANNELS, 256
    _normalise[(-(-count // block),)](pixels, factor, offset, frames, count, BLOCK=block)
    return frames.permute(0, 3, 1, 2)


def max_pool(x: Tensor) -> Tensor:
    """3x3 max-pooling with stride 2 of ``(B, C, height, width)`` in channels-last layout."""
    batch, channels, height, width = x.shape
    rows, columns = (height + 1) // 2, (width + 1) // 2
    out = x.new_empty(batch, rows, columns, channels)
    count, tall = batch * rows * columns, 16
    _max_pool[(-(-count // tall),)](x, out, count, height, width, rows, columns, C=channels, TALL=tall)
    return out.permute(0, 3, 1, 2)
