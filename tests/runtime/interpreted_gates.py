"""Triton's kernels on Triton's own interpreter, which needs no GPU; run as a program, see ``test_gates``."""

import torch

from pipeline.model.cbam import CBAM
from pipeline.model.fuse import fuse_batch_norms
from pipeline.runtime.fused import fuse_backbones
from pipeline.runtime.gate_kernels import gated
from tests.model.small import clip, shaken, small


@torch.no_grad()
def block_ends_are_those_of_cbam(batch: int, channels: int, rows: int, columns: int, shifted: bool) -> None:
    gates = shaken(CBAM(channels)).eval()
    fuse_batch_norms(gates)
    dice = torch.Generator().manual_seed(3)
    x, residual = torch.randn(2, batch, channels, rows, columns, generator=dice)
    shift, residual_shift = torch.randn(2, channels, generator=dice)
    expected = gates(x + shift[None, :, None, None]) + residual
    if shifted:
        expected += residual_shift[None, :, None, None]
    x, residual = (part.to(memory_format=torch.channels_last) for part in (x, residual))
    found = gated(x, shift, gates, residual, residual_shift if shifted else None)
    torch.testing.assert_close(found, expected.relu(), atol=1e-5, rtol=1e-5)


@torch.inference_mode()
def a_fused_backbone_is_that_of_the_model(depth: int) -> None:
    model, frames = small(depth=depth, image_size=32), clip(1, 1, size=32)[:, 0]
    expected = model.encode(frames)["layer4"]
    model.requires_grad_(False)
    fuse_batch_norms(model)
    fuse_backbones(model)
    model.to(memory_format=torch.channels_last)
    found = model.encode(frames.contiguous(memory_format=torch.channels_last))["layer4"]
    torch.testing.assert_close(found, expected, atol=1e-4 * expected.abs().max().item(), rtol=0)


if __name__ == "__main__":
    block_ends_are_those_of_cbam(2, 64, 9, 7, shifted=True)
    block_ends_are_those_of_cbam(1, 512, 6, 6, shifted=False)
    block_ends_are_those_of_cbam(3, 128, 1, 2, shifted=True)
    a_fused_backbone_is_that_of_the_model(18)
    print("equal")
