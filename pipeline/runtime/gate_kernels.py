"""CBAM with the end of its block in five Triton kernels; three of them read the feature map, once each.

``pipeline.model.cbam`` says what is computed; here sums are in float32. A map is ``(B, C, rows, columns)``
in channels-last layout, so a position's channels lie side by side.
"""

from typing import Any, cast

import torch
import triton
import triton.language as tl
from torch import Tensor

from pipeline.model.cbam import CBAM, ChannelGate, SpatialGate

_PROGRAMS = 128  # about one for each multiprocessor of a large GPU


@triton.jit  # type: ignore[untyped-decorator]
def _pool(x, sums, peaks, positions, slab, C: tl.constexpr, WIDE: tl.constexpr, TALL: tl.constexpr):  # type: ignore[no-untyped-def]
    """Sum and maximum of each channel over a slab of positions."""
    image, column, split = tl.program_id(0), tl.program_id(1), tl.program_id(2)
    c = column * WIDE + tl.arange(0, WIDE)
    total = tl.zeros((TALL, WIDE), tl.float32)
    peak = tl.full((TALL, WIDE), float("-inf"), tl.float32)
    end = tl.minimum((split + 1) * slab, positions)
    for start in range(split * slab, end, TALL):
        p = start + tl.arange(0, TALL)
        inside = (p < end)[:, None]
        tile = tl.load(x + (image * positions + p)[:, None] * C + c[None, :], mask=inside, other=0.0)
        tile = tile.to(tl.float32)
        total += tile
        peak = tl.maximum(peak, tl.where(inside, tile, float("-inf")))
    at = (image * tl.num_programs(2) + split) * C + c
    tl.store(sums + at, tl.sum(total, 0))
    tl.store(peaks + at, tl.max(peak, 0))


@triton.jit  # type: ignore[untyped-decorator]
def _squeeze(  # type: ignore[no-untyped-def]
    sums, peaks, shift, weights, biases, hidden, positions,
    C: tl.constexpr, H: tl.constexpr, SPLITS: tl.constexpr, TALL: tl.constexpr, WIDE: tl.constexpr,
):  # fmt: skip
    """The hidden layer of the channel gate, summed over mean and maximum."""
    image = tl.program_id(0)
    h = tl.program_id(1) * TALL + tl.arange(0, TALL)
    s = tl.arange(0, SPLITS)
    average = tl.zeros((TALL, WIDE), tl.float32)
    largest = tl.zeros((TALL, WIDE), tl.float32)
    for start in range(0, C, WIDE):
        c = start + tl.arange(0, WIDE)
        at = (image * SPLITS + s)[:, None] * C + c[None, :]
        offset = tl.load(shift + c).to(tl.float32)
        mean = tl.sum(tl.load(sums + at), 0) / positions + offset
        peak = tl.max(tl.load(peaks + at), 0) + offset
        weight = tl.load(weights + h[:, None] * C + c[None, :]).to(tl.float32)
        average += weight * mean[None, :]
        largest += weight * peak[None, :]
    bias = tl.load(biases + h).to(tl.float32)
    answer = tl.maximum(tl.sum(average, 1) + bias, 0.0) + tl.maximum(tl.sum(largest, 1) + bias, 0.0)
    tl.store(hidden + image * H + h, answer)


@triton.jit  # type: ignore[untyped-decorator]
def _excite(  # type: ignore[no-untyped-def]
    hidden, weights, biases, gate, scale,
    C: tl.constexpr, H: tl.constexpr, WIDE: tl.constexpr,
):  # fmt: skip
    """The channel gate from its hidden layer."""
    image = tl.program_id(0)
    c = tl.program_id(1) * WIDE + tl.arange(0, WIDE)
    h = tl.arange(0, H)
    weight = tl.load(weights + c[:, None] * H + h[None, :]).to(tl.float32)
    answer = tl.sum(weight * tl.load(hidden + image * H + h)[None, :], 1)
    answer += 2.0 * tl.load(biases + c).to(tl.float32)
    tl.store(gate + image * C + c, scale * tl.sigmoid(answer))


@triton.jit  # type: ignore[untyped-decorator]
def _across(  # type: ignore[no-untyped-def]
    x, shift, gate, stats, positions, rows,
    C: tl.constexpr, TALL: tl.constexpr, WIDE: tl.constexpr,
):  # fmt: skip
    """Mean and maximum of each position over the gated channels."""
    row = tl.program_id(0) * TALL + tl.arange(0, TALL)
    inside = (row < rows)[:, None]
    image = row // positions
    total = tl.zeros((TALL, WIDE), tl.float32)
    peak = tl.full((TALL, WIDE), float("-inf"), tl.float32)
    for start in range(0, C, WIDE):
        c = start + tl.arange(0, WIDE)
        tile = tl.load(x + row[:, None] * C + c[None, :], mask=inside, other=0.0).to(tl.float32)
        tile += tl.load(shift + c).to(tl.float32)[None, :]
        tile *= tl.load(gate + image[:, None] * C + c[None, :], mask=inside, other=0.0)
        total += tile
        peak = tl.maximum(peak, tile)
    at = image * positions + row
    tl.store(stats + at, tl.sum(total, 1) / C, mask=row < rows)
    tl.store(stats + at + positions, tl.max(peak, 1), mask=row < rows)


@triton.jit  # type: ignore[untyped-decorator]
def _finish(  # type: ignore[no-untyped-def]
    x, shift, gate, stats, conv, conv_bias, residual, residual_shift, positions, rows, width, scale,
    map_step, tap_step,
    C: tl.constexpr, TALL: tl.constexpr, WIDE: tl.constexpr, SHIFTED: tl.constexpr,
):  # fmt: skip
    """Spatial gate (7x7 over the two maps), both gates applied, residual added, rectified; in place."""
    row = tl.program_id(0) * TALL + tl.arange(0, TALL)
    inside = (row < rows)[:, None]
    image = row // positions
    position = row % positions
    tap = tl.arange(0, 64)
    y = (position // width)[:, None] + (tap // 7 - 3)[None, :]
    z = (position % width)[:, None] + (tap % 7 - 3)[None, :]
    near = inside & (tap < 49)[None, :] & (y >= 0) & (y < positions // width) & (z >= 0) & (z < width)
    at = image[:, None] * 2 * positions + y * width + z
    of_mean = tl.load(conv + tap * tap_step, mask=tap < 49, other=0.0).to(tl.float32)
    of_peak = tl.load(conv + map_step + tap * tap_step, mask=tap < 49, other=0.0).to(tl.float32)
    seen = tl.load(stats + at, mask=near, other=0.0) * of_mean[None, :]
    seen += tl.load(stats + at + positions, mask=near, other=0.0) * of_peak[None, :]
    spatial = scale * tl.sigmoid(tl.sum(seen, 1) + tl.load(conv_bias).to(tl.float32))
    for start in range(0, C, WIDE):
        c = start + tl.arange(0, WIDE)
        place = row[:, None] * C + c[None, :]
        tile = tl.load(x + place, mask=inside, other=0.0).to(tl.float32)
        tile += tl.load(shift + c).to(tl.float32)[None, :]
        tile *= tl.load(gate + image[:, None] * C + c[None, :], mask=inside, other=0.0) * spatial[:, None]
        tile += tl.load(residual + place, mask=inside, other=0.0).to(tl.float32)
        if SHIFTED:
            tile += tl.load(residual_shift + c).to(tl.float32)[None, :]
        tl.store(x + place, tl.maximum(tile, 0.0).to(x.dtype.element_ty), mask=inside)


def gated(x: Tensor, shift: Tensor, cbam: CBAM, residual: Tensor, residual_shift: Tensor | None) -> Tensor:
    """``relu(cbam(x + shift) + residual + residual_shift)``, written over ``x``.

    Args:
        x: What the last convolution of a block gave, without its bias: ``(B, C, rows, columns)``,
            channels-last; ``C`` a power of two, at least 64.
        shift: That bias, ``(C,)``.
        cbam: The block's gates; the batch-norm is folded into the convolution.
        residual: Same shape and layout as ``x``.
        residual_shift: A bias that the residual still lacks, ``(C,)``, or None.

    Returns:
        ``x``.
    """
    channel, spatial = cast(ChannelGate, cbam[0]), cast(SpatialGate, cbam[1])
    batch, channels, height, width = x.shape
    positions = height * width
    rows, hidden = batch * positions, channel.squeeze.out_features
    assert x.is_contiguous(memory_format=torch.channels_last)
    assert residual.is_contiguous(memory_format=torch.channels_last)
    wide = 64 if batch < 8 else min(channels, 128)
    slices = channels // wide
    # enough programs to fill a large GPU; with one frame, more parts would cost more than they bring
    splits = _power_of_two(min(32, _PROGRAMS * min(batch, 8) // (batch * slices), positions // 8))
    parts = x.new_empty(2, batch, splits, channels, dtype=torch.float32)
    layer = x.new_empty(batch, hidden, dtype=torch.float32)
    gate = x.new_empty(batch, channels, dtype=torch.float32)
    stats = x.new_empty(batch, 2, positions, dtype=torch.float32)
    _launch(_pool, (batch, slices, splits), x, parts[0], parts[1], positions, -(-positions // splits),
            C=channels, WIDE=wide, TALL=32)  # fmt: skip
    tall = _power_of_two(min(16, hidden, batch * hidden // (2 * _PROGRAMS)))
    _launch(_squeeze, (batch, hidden // tall), parts[0], parts[1], shift, channel.squeeze.weight,
            channel.squeeze.bias, layer, positions,
            C=channels, H=hidden, SPLITS=splits, TALL=tall, WIDE=min(channels, 512))  # fmt: skip
    _launch(_excite, (batch, channels // 64), layer, channel.excite.weight, channel.excite.bias, gate,
            channel.scale, C=channels, H=hidden, WIDE=64)  # fmt: skip
    tall, wide = _power_of_two(min(16, rows // _PROGRAMS)), min(channels, 256)
    grid = (-(-rows // tall),)
    _launch(_across, grid, x, shift, gate, stats, positions, rows, C=channels, TALL=tall, WIDE=wide)
    _launch(_finish, grid, x, shift, gate, stats, spatial.conv.weight, spatial.conv.bias, residual,
            shift if residual_shift is None else residual_shift, positions, rows, width, spatial.scale,
            spatial.conv.weight.stride(1), spatial.conv.weight.stride(3),
            C=channels, TALL=tall, WIDE=wide, SHIFTED=residual_shift is not None)  # fmt: skip
    return x


def _launch(kernel: Any, grid: tuple[int, ...], *arguments: Any, **constants: Any) -> None:
    kernel[grid](*arguments, **constants)


def _power_of_two(most: int) -> int:
    """The largest power of two that is not above ``most``, at least 1."""
    return 1 << (max(most, 1).bit_length() - 1)
