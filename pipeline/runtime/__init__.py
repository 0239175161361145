"""The model's step on a device: pictures and remembered frames in, probabilities and attention out."""

from pathlib import Path

from pipeline.model.checkpoint import find_checkpoint, load_checkpoint
from pipeline.runtime.base import Result, Runtime
from pipeline.runtime.torch_runtime import DeviceError, TorchRuntime

__all__ = ["DeviceError", "Result", "Runtime", "TorchRuntime", "open_runtime"]


def open_runtime(
    checkpoint: str | Path, *, device: str = "auto", precision: str = "auto", threads: int = 0
) -> Runtime:
    """Loads a checkpoint and makes it ready to run.

    Args:
        checkpoint: A file, or the name of a shipped checkpoint.
        device: ``auto``, ``cpu``, ``cuda``, ``cuda:1`` ...
        precision: ``auto`` (float32 on a CPU, float16 on a GPU), ``fp32``, ``fp16`` or ``bf16``.
        threads: CPU threads; 0 leaves the choice to torch.

    Raises:
        CheckpointError: No such checkpoint, or one that can't be used.
        DeviceError: This machine lacks the device, or the device the precision.
    """
    path = find_checkpoint(checkpoint)
    return TorchRuntime(load_checkpoint(path), device, precision, threads, name=path.stem)
