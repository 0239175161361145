"""The model's step on a device: pictures and remembered frames in, probabilities and attention out."""

from collections.abc import Callable
from pathlib import Path
from typing import Literal, get_args

import torch

from pipeline.model.checkpoint import load_checkpoint
from pipeline.model.device import DeviceError
from pipeline.model.shipped import find_checkpoint
from pipeline.runtime.base import Result, Runtime
from pipeline.runtime.onnx_runtime import ONNXRuntime
from pipeline.runtime.openvino_runtime import OpenVINORuntime
from pipeline.runtime.torch_runtime import TorchRuntime

__all__ = [
    "Backend",
    "DeviceError",
    "ONNXRuntime",
    "OpenVINORuntime",
    "Result",
    "Runtime",
    "TorchRuntime",
    "open_runtime",
]

Backend = Literal["auto", "torch", "openvino", "onnxruntime"]


def open_runtime(
    checkpoint: str | Path,
    *,
    backend: str = "auto",
    device: str = "auto",
    precision: str = "auto",
    threads: int = 0,
    say: Callable[[str], None] = print,
) -> Runtime:
    """Loads a checkpoint and makes it ready to run.

    Args:
        checkpoint: A file, or the name of a shipped checkpoint.
        backend: ``auto`` (torch), ``torch``, ``openvino`` or ``onnxruntime``; the last two are for CPUs.
            They take torch's threads away from it, because idle ones would wait on the cores that the
            step needs.
        device: ``auto``, ``cpu``, ``cuda``, ``cuda:1`` ...
        precision: ``auto`` (float32 on a CPU, float16 on a GPU), ``fp32``, ``fp16`` or ``bf16``.
        threads: CPU threads; 0 leaves the choice to torch.
        say: Takes a line for people where a backend has to prepare the model first.

    Raises:
        CheckpointError: No such checkpoint, or one that can't be used.
        DeviceError: This machine lacks the device, or the device the precision.
        MissingPackageError: The backend is not installed.
    """
    if backend not in get_args(Backend):
        raise DeviceError(f"backend {backend!r}: choose {', '.join(get_args(Backend))}")
    path = find_checkpoint(checkpoint)
    model = load_checkpoint(path)
    if backend in ("auto", "torch"):
        return TorchRuntime(model, device, precision, threads, name=path.stem)
    kind = OpenVINORuntime if backend == "openvino" else ONNXRuntime
    runtime = kind(model, device, precision, threads, path.stem, checkpoint=path, say=say)
    torch.set_num_threads(1)
    return runtime
