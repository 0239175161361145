"""Triton's kernels on Triton's own interpreter, without a GPU; run as a program by ``test_gate_kernels``."""

import torch

from pipeline.model.cbam import CBAM
from pipeline.model.preprocessing import Preprocessing
from pipeline.runtime.cuda.fused_backbone import fuse_backbones
from pipeline.runtime.cuda.gate_kernels import gated
from pipeline.runtime.cuda.stem_kernels import max_pool, normalise
from pipeline.runtime.fold_batch_norms import fold_batch_norms
from pipeline.runtime.pixels import Preprocessor
from tests.model.small import clip, shaken, small


@torch.no_grad()
def block_ends_are_those_of_cbam(batch: int, channels: int, rows: int, columns: int, shifted: bool) -> None:
    gates = shaken(CBAM(channels)).eval()
    fold_batch_norms(gates)
    rng = torch.Generator().manual_seed(3)
    x, residual = torch.randn(2, batch, channels, rows, columns, generator=rng)
    shift, residual_shift = torch.randn(2, channels, generator=rng)
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
    fold_batch_norms(model)
    fuse_backbones(model)
    model.to(memory_format=torch.channels_last)
    padded = torch.nn.functional.pad(frames, (0, 0, 0, 0, 0, 1)).contiguous(memory_format=torch.channels_last)
    found = model.encode(padded)["layer4"]
    torch.testing.assert_close(found, expected, atol=1e-4 * expected.abs().max().item(), rtol=0)


def frames_are_normalised() -> None:
    settings = Preprocessing(32, (0.5, 0.4, 0.3), (0.2, 0.25, 0.1))
    pixels = torch.randint(
        0, 256, (2, 9, 11, 3), dtype=torch.uint8, generator=torch.Generator().manual_seed(0)
    )
    expected = Preprocessor(settings, torch.device("cpu"), torch.float32).normalised(pixels.flip(-1))
    factor, offset = torch.tensor(settings.factor), torch.tensor(settings.offset)
    found = normalise(pixels, factor, offset, torch.float32)
    torch.testing.assert_close(found[:, :3], expected)
    assert found[:, 3].eq(0).all()


def pooling_is_that_of_torch(height: int, width: int) -> None:
    x = torch.randn(2, 8, height, width).to(memory_format=torch.channels_last)
    assert torch.equal(max_pool(x), torch.nn.functional.max_pool2d(x, 3, 2, 1))


if __name__ == "__main__":
    block_ends_are_those_of_cbam(2, 64, 9, 7, shifted=True)
    block_ends_are_those_of_cbam(1, 512, 6, 6, shifted=False)
    block_ends_are_those_of_cbam(8, 128, 1, 2, shifted=True)
    block_ends_are_those_of_cbam(16, 512, 1, 2, shifted=False)
    frames_are_normalised()
    pooling_is_that_of_torch(8, 6)
    pooling_is_that_of_torch(7, 9)
    a_fused_backbone_is_that_of_the_model(18)
    print("equal")
