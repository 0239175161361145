"""The model's step on a device: pictures and remembered frames in, probabilities and attention out."""

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, get_args

import torch

from pipeline.model.device import DeviceError
from pipeline.model.shipped import find_checkpoint
from pipeline.runtime.base import Result, Runtime
from pipeline.runtime.choose import Choice, choose_backend
from pipeline.runtime.onnx_runtime import ONNXRuntime
from pipeline.runtime.openvino_runtime import OpenVINORuntime

if TYPE_CHECKING:
    from pipeline.runtime.cuda_runtime import CudaRuntime
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
        backend: ``auto`` (the fastest that is installed), ``torch``, ``openvino`` or ``onnxruntime``. The
            last two take torch's threads away from it, because idle ones would wait on the cores that the
            step needs.
        device: ``auto``, ``cpu``, ``cuda``, ``cuda:1`` ...
        precision: ``auto`` (float32 on a CPU, float16 on a GPU), ``fp32``, ``fp16`` or ``bf16``.
        threads: CPU threads; 0 leaves the choice to torch.
        say: Takes lines for people: which backend was chosen, and that it has to prepare the model first.

    Raises:
        CheckpointError: No such checkpoint, or one that can't be used.
        DeviceError: This machine lacks the device, or the device the precision.
        MissingPackageError: The backend is not installed.
    """
    if backend not in get_args(Backend):
        raise DeviceError(f"backend {backend!r}: choose {', '.join(get_args(Backend))}")
    path = find_checkpoint(checkpoint)
    chosen = choose_backend(device, precision) if backend == "auto" else Choice(backend, "as configured")
    runtime = _open(path, chosen.backend, device, precision, threads, say)
    runtime.why = chosen.why
    say(f"{path.stem}: runs on {chosen.backend}, {runtime.device}, {runtime.precision} ({chosen.why})")
    return runtime


def _open(
    path: Path, backend: str, device: str, precision: str, threads: int, say: Callable[[str], None]
) -> "CudaRuntime | TorchRuntime | OpenVINORuntime | ONNXRuntime":
    if backend == "torch":
        from pipeline.model.checkpoint import load_checkpoint
        from pipeline.runtime.torch_runtimes import open_torch

        return open_torch(load_checkpoint(path), device, precision, threads, path.stem, say=say)
    kind = OpenVINORuntime if backend == "openvino" else ONNXRuntime
    runtime = kind(path, device, precision, threads, path.stem, say=say)
    torch.set_num_threads(1)
    return runtime


def __getattr__(name: str) -> Any:
    """``TorchRuntime`` is imported when it is asked for: the network under it takes longer than torch."""
    if name != "TorchRuntime":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from pipeline.runtime.torch_runtime import TorchRuntime

    return TorchRuntime
