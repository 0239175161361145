"""The model's step on a device: pictures and remembered frames in, probabilities and attention out."""

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, get_args

import torch

from pipeline.base.errors import UserError
from pipeline.model.device import DeviceError
from pipeline.model.shipped import CheckpointError, find_checkpoint
from pipeline.runtime.base import Result, Runtime
from pipeline.runtime.choose import Choice, choose_backend
from pipeline.runtime.exported.onnx_runtime import ONNXRuntime
from pipeline.runtime.exported.openvino_runtime import OpenVINORuntime
from pipeline.runtime.exported.quantise import FilmMaker

if TYPE_CHECKING:
    from pipeline.runtime.cuda.cuda_runtime import CudaRuntime
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
    provider: str = "auto",
    film: FilmMaker | None = None,
    graphs: bool = True,
    say: Callable[[str], None] = print,
) -> Runtime:
    """Loads a checkpoint and makes it ready to run.

    Args:
        checkpoint: A file, or the name of a shipped checkpoint.
        backend: ``auto`` (the fastest that is installed), ``torch``, ``openvino`` or ``onnxruntime``. The
            last two take torch's threads away from it, because idle ones would wait on the cores that the
            step needs.
        device: ``auto``, ``cpu``, ``cuda``, ``cuda:1`` ...
        precision: ``auto`` (float32 on a CPU, float16 on a GPU), ``fp32``, ``fp16``, ``bf16`` or ``int8``.
        threads: CPU threads; 0 leaves the choice to torch.
        provider: Of ``onnxruntime`` alone: ``auto`` (by device), ``cpu``, ``cuda`` or ``tensorrt``.
        film: Makes the clips that ``int8`` is calibrated on, see ``pipeline.training.rendered.film``.
        graphs: Whether torch may use captured graphs and kernels of our own on a GPU.
        say: Takes lines for people: which backend was chosen, and that it has to prepare the model first.

    Raises:
        CheckpointError: No such checkpoint, or one that can't be used.
        DeviceError: This machine lacks the device, or the device the precision.
        MissingPackageError: The backend is not installed.
    """
    if backend not in get_args(Backend):
        raise DeviceError(f"backend {backend!r}: choose {', '.join(get_args(Backend))}")
    if provider != "auto" and backend != "onnxruntime":
        raise DeviceError(f"provider {provider} is one of backend onnxruntime, not of {backend}")
    path = find_checkpoint(checkpoint)
    chosen = choose_backend(device, precision) if backend == "auto" else Choice(backend, "as configured")

    def start(backend: str) -> "CudaRuntime | TorchRuntime | OpenVINORuntime | ONNXRuntime":
        wishes = (device, precision, threads, path.stem)
        if backend == "openvino":
            return OpenVINORuntime(path, *wishes, film=film, say=say)
        if backend == "onnxruntime":
            return ONNXRuntime(path, *wishes, provider=provider, say=say)
        from pipeline.model.checkpoint import load_checkpoint
        from pipeline.runtime.open_torch import open_torch

        return open_torch(load_checkpoint(path), *wishes, graphs=graphs, say=say)

    try:
        runtime = start(chosen.backend)
    except (UserError, CheckpointError):
        raise
    except Exception as error:  # whatever a package raises that does not fit the others
        if backend != "auto" or chosen.backend == "torch" or precision == "int8":
            raise
        say(f"{path.stem}: {chosen.backend} can't run it ({type(error).__name__}: {error}): torch takes over")
        chosen = Choice("torch", f"{chosen.backend} can't run it")
        runtime = start(chosen.backend)
    if chosen.backend != "torch":
        torch.set_num_threads(1)
    runtime.why = chosen.why
    say(f"{path.stem}: runs on {chosen.backend}, {runtime.device}, {runtime.precision} ({chosen.why})")
    return runtime


def __getattr__(name: str) -> Any:
    """``TorchRuntime`` is imported when it is asked for: the network under it takes longer than torch."""
    if name != "TorchRuntime":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from pipeline.runtime.torch_runtime import TorchRuntime

    return TorchRuntime
