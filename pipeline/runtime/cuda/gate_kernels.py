"""CBAM and the end of its block in four Triton kernels.

``pipeline.model.cbam`` is the reference; here sums are in float32. A map is ``(B, C, rows, columns)`` in
channels-last layout, so the channels of a position are contiguous. ``C`` is a power of two.

With ``WAITS`` (programmatic dependent launch, on Hopper and newer) each kernel starts while the previous one
still runs: it loads its weights, then waits for the previous kernel.
"""

import ctypes
from functools import cache
from typing import Any, cast

import torch
import triton
import triton.language as tl
from torch import Tensor

from pipeline.model.cbam import CBAM, ChannelGate, SpatialGate

try:
    from triton.language.extra.cuda import gdc_launch_dependents, gdc_wait
except ImportError:  # Triton of torch 2.6 and 2.7 resolves every name, even those that WAITS disables

    @triton.jit  # type: ignore[untyped-decorator]
    def gdc_launch_dependents() -> None:
        """Does nothing."""

    @triton.jit  # type: ignore[untyped-decorator]
    def gdc_wait() -> None:
        """Does nothing."""

    _CAN_WAIT = False
else:
    _CAN_WAIT = True

_PROGRAMS = 128  # about one per multiprocessor of a large GPU
_DRIVER = 12030  # CUDA 12.3: older drivers can't capture dependent launches
_ROWS_TILE = 4096  # values in the registers of a program


@triton.jit  # type: ignore[untyped-decorator]
def _pool(  # type: ignore[no-untyped-def]
    x, shift, weights, parts, positions,
    C: tl.constexpr, H: tl.constexpr, WIDE: tl.constexpr, TALL: tl.constexpr, WAITS: tl.constexpr,
):  # fmt: skip
    """Partial sums of the channel gate's hidden layer over some channels, from their means and maxima."""
    image, part = tl.program_id(0), tl.program_id(1)
    c = part * WIDE + tl.arange(0, WIDE)
    h = tl.arange(0, H)
    weight = tl.load(weights + h[:, None] * C + c[None, :]).to(tl.float32)
    offset = tl.load(shift + c).to(tl.float32)
    if WAITS:
        gdc_launch_dependents()
        gdc_wait()
    total = tl.zeros((TALL, WIDE), tl.float32)
    peak = tl.full((TALL, WIDE), float("-inf"), tl.float32)
    for start in range(0, positions, TALL):
        p = start + tl.arange(0, TALL)
        inside = (p < positions)[:, None]
        tile = tl.load(x + (image * positions + p)[:, None] * C + c[None, :], mask=inside, other=0.0)
        tile = tile.to(tl.float32)
        total += tile
        peak = tl.maximum(peak, tl.where(inside, tile, float("-inf")))
    mean, largest = tl.sum(total, 0) / positions + offset, tl.max(peak, 0) + offset
    at = parts + (image * tl.num_programs(1) + part) * 2 * H + h
    tl.store(at, tl.sum(weight * mean[None, :], 1))
    tl.store(at + H, tl.sum(weight * largest[None, :], 1))


@triton.jit  # type: ignore[untyped-decorator]
def _excite(  # type: ignore[no-untyped-def]
    parts, hidden_biases, weights, biases, gate, scale,
    C: tl.constexpr, H: tl.constexpr, PARTS: tl.constexpr, WIDE: tl.constexpr, WAITS: tl.constexpr,
):  # fmt: skip
    """The channel gate from the partial sums of its hidden layer."""
    image = tl.program_id(0)
    c = tl.program_id(1) * WIDE + tl.arange(0, WIDE)
    h = tl.arange(0, H)
    weight = tl.load(weights + c[:, None] * H + h[None, :]).to(tl.float32)
    bias, hidden_bias = tl.load(biases + c).to(tl.float32), tl.load(hidden_biases + h).to(tl.float32)
    if WAITS:
        gdc_launch_dependents()
        gdc_wait()
    at = parts + (image * PARTS + tl.arange(0, PARTS))[:, None] * 2 * H + h[None, :]
    of_mean, of_peak = tl.sum(tl.load(at), 0) + hidden_bias, tl.sum(tl.load(at + H), 0) + hidden_bias
    hidden = tl.maximum(of_mean, 0.0) + tl.maximum(of_peak, 0.0)
    answer = tl.sum(weight * hidden[None, :], 1) + 2.0 * bias
    tl.store(gate + image * C + c, scale * tl.sigmoid(answer))


@triton.jit  # type: ignore[untyped-decorator]
def _across(  # type: ignore[no-untyped-def]
    x, shift, gate, stats, positions, rows, C: tl.constexpr, TALL: tl.constexpr, WAITS: tl.constexpr
):
    """Mean and maximum of each position over the gated channels."""
    row, c = tl.program_id(0) * TALL + tl.arange(0, TALL), tl.arange(0, C)
    inside = (row < rows)[:, None]
    image = row // positions
    offset = tl.load(shift + c).to(tl.float32)
    if WAITS:
        gdc_launch_dependents()
        gdc_wait()
    tile = tl.load(x + row[:, None] * C + c[None, :], mask=inside, other=0.0).to(tl.float32)
    tile = (tile + offset[None, :]) * tl.load(gate + image[:, None] * C + c[None, :], mask=inside, other=0.0)
    at = image * positions + row
    tl.store(stats + at, tl.sum(tile, 1) / C, mask=row < rows)
    tl.store(stats + at + positions, tl.max(tile, 1), mask=row < rows)


@triton.jit  # type: ignore[untyped-decorator]
def _finish(  # type: ignore[no-untyped-def]
    x, shift, gate, stats, conv, conv_bias, residual, residual_shift, positions, rows, width, scale,
    map_step, tap_step, C: tl.constexpr, TALL: tl.constexpr, SHIFTED: tl.constexpr, WAITS: tl.constexpr,
):  # fmt: skip
    """Spatial gate (7x7 over two maps), then in place: apply both gates, add the residual, ReLU."""
    row, c = tl.program_id(0) * TALL + tl.arange(0, TALL), tl.arange(0, C)
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
    bias, offset = tl.load(conv_bias).to(tl.float32), tl.load(shift + c).to(tl.float32)
    added = tl.zeros((C,), tl.float32)
    if SHIFTED:
        added = tl.load(residual_shift + c).to(tl.float32)
    if WAITS:
        gdc_launch_dependents()
        gdc_wait()
    place = row[:, None] * C + c[None, :]
    tile = tl.load(x + place, mask=inside, other=0.0).to(tl.float32) + offset[None, :]
    tile *= tl.load(gate + image[:, None] * C + c[None, :], mask=inside, other=0.0)
    rest = tl.load(residual + place, mask=inside, other=0.0).to(tl.float32) + added[None, :]
    seen = tl.load(stats + at, mask=near, other=0.0) * of_mean[None, :]
    seen += tl.load(stats + at + positions, mask=near, other=0.0) * of_peak[None, :]
    spatial = scale * tl.sigmoid(tl.sum(seen, 1) + bias)
    tile = tl.maximum(tile * spatial[:, None] + rest, 0.0)
    tl.store(x + place, tile.to(x.dtype.element_ty), mask=inside)


def gated(x: Tensor, shift: Tensor, cbam: CBAM, residual: Tensor, residual_shift: Tensor | None) -> Tensor:
    """``relu(cbam(x + shift) + residual + residual_shift)``, computed in place.

    Args:
        x: Output of a block's last convolution without its bias: ``(B, C, rows, columns)``,
            channels-last; ``C`` a power of two, at least 64.
        shift: That bias, ``(C,)``.
        cbam: The block's gates; the batch norm is folded into the convolution.
        residual: Same shape and layout as ``x``.
        residual_shift: Bias still to be added to the residual, ``(C,)``, or None.

    Returns:
        ``x``.
    """
    channel, spatial = cast(ChannelGate, cbam[0]), cast(SpatialGate, cbam[1])
    batch, channels, height, width = x.shape
    positions = height * width
    rows, hidden = batch * positions, channel.squeeze.out_features
    assert x.is_contiguous(memory_format=torch.channels_last)
    assert residual.is_contiguous(memory_format=torch.channels_last)
    waits = _overlaps(x.device)
    wide, tall, warps = _pool_shape(batch, channels, positions)
    parts = x.new_empty(batch, channels // wide, 2, hidden, dtype=torch.float32)
    gate = x.new_empty(batch, channels, dtype=torch.float32)
    stats = x.new_empty(batch, 2, positions, dtype=torch.float32)
    squeeze, excite = channel.squeeze, channel.excite
    _launch(_pool, (batch, channels // wide), x, shift, squeeze.weight, parts, positions,
            C=channels, H=hidden, WIDE=wide, TALL=tall, WAITS=waits, num_warps=warps)  # fmt: skip
    _launch(_excite, (batch, channels // 64), parts, squeeze.bias, excite.weight, excite.bias, gate,
            channel.scale, C=channels, H=hidden, PARTS=channels // wide, WIDE=64, WAITS=waits)  # fmt: skip
    tall = _power_of_two(min(32, _ROWS_TILE // channels, rows // _PROGRAMS))
    grid = (-(-rows // tall),)
    _launch(_across, grid, x, shift, gate, stats, positions, rows,
            C=channels, TALL=tall, WAITS=waits)  # fmt: skip
    _launch(_finish, grid, x, shift, gate, stats, spatial.conv.weight, spatial.conv.bias, residual,
            shift if residual_shift is None else residual_shift, positions, rows, width, spatial.scale,
            spatial.conv.weight.stride(1), spatial.conv.weight.stride(3), C=channels, TALL=tall,
            SHIFTED=residual_shift is not None, WAITS=waits)  # fmt: skip
    return x


def _pool_shape(batch: int, channels: int, positions: int) -> tuple[int, int, int]:
    """Channels and positions per tile, and warps, of a ``_pool`` program.

    With few frames, narrow slices of channels fill the GPU; more than 32 slices would slow ``_excite``.
    """
    wide = min(128, max(16, channels // 32, _power_of_two(batch * channels // (2 * _PROGRAMS))))
    warps = 8 if batch * positions > 512 else 4
    return wide, min(warps * 1024 // wide, triton.next_power_of_2(positions)), warps


def _launch(kernel: Any, grid: tuple[int, ...], *arguments: Any, **constants: Any) -> None:
    if constants["WAITS"]:
        constants["launch_pdl"] = True
    kernel[grid](*arguments, **constants)


@cache
def _overlaps(device: torch.device) -> bool:
    """Whether a kernel can start before the previous one has finished."""
    if not _CAN_WAIT or device.type != "cuda" or torch.cuda.get_device_capability(device) < (9, 0):
        return False
    version = ctypes.c_int()
    try:
        ctypes.CDLL("libcuda.so.1").cuDriverGetVersion(ctypes.byref(version))
    except OSError:
        return False
    return version.value >= _DRIVER


def _power_of_two(most: int) -> int:
    """The largest power of two up to ``most``, at least 1."""
    return 1 << (max(most, 1).bit_length() - 1)
