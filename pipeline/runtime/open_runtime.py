"""Opens the runtime for a checkpoint: selects a backend and handles its failure."""

import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Literal, get_args

from pipeline.base.errors import UserError
from pipeline.model.device import DeviceError
from pipeline.model.shipped import CheckpointError, find_checkpoint
from pipeline.runtime.base import Runtime
from pipeline.runtime.choose import Choice, choose_backend
from pipeline.runtime.exported.open_onnx import open_onnx
from pipeline.runtime.exported.open_openvino import open_openvino
from pipeline.runtime.runtime_options import Options

Backend = Literal["auto", "torch", "openvino", "onnxruntime"]


def open_runtime(checkpoint: str | Path, options: Options | None = None, *, backend: str = "auto") -> Runtime:
    """Opens a checkpoint on a backend.

    Args:
        checkpoint: A file, or the name of a shipped checkpoint; its stem becomes the model's name.
        options: Options.
        backend: ``auto`` (the fastest available), ``torch``, ``openvino`` or ``onnxruntime``. The last two
            limit torch to one thread, because its idle threads would spin on the cores that the step
            needs.

    Raises:
        CheckpointError: The checkpoint does not exist or cannot be used.
        DeviceError: This machine lacks the device, or the device lacks the precision.
        MissingPackageError: The backend is not installed.
    """
    path = find_checkpoint(checkpoint)
    options = replace(options or Options(), name=path.stem)
    if backend not in get_args(Backend):
        raise DeviceError(f"backend {backend!r}: choose {', '.join(get_args(Backend))}")
    if options.provider != "auto" and backend != "onnxruntime":
        raise DeviceError(f"provider {options.provider} requires backend onnxruntime, not {backend}")
    device, precision = options.device, options.precision
    chosen = choose_backend(device, precision) if backend == "auto" else Choice(backend, "as configured")
    try:
        runtime = _OPEN[chosen.backend](path, replace(options, why=chosen.why))
    except (UserError, CheckpointError):
        raise
    except Exception as error:  # incompatible packages may raise anything
        if backend != "auto" or chosen.backend == "torch" or precision == "int8":
            raise
        options.log(f"{chosen.backend} can't run this model ({type(error).__name__}: {error}): using torch")
        chosen = Choice("torch", f"{chosen.backend} can't run this model")
        runtime = _open_with_torch(path, replace(options, why=chosen.why))
    if chosen.backend != "torch" and "torch" in sys.modules:  # not loaded if the step was cached
        sys.modules["torch"].set_num_threads(1)
    engine = runtime.engine
    options.log(f"runs on {chosen.backend}, {engine.device}, {engine.precision} ({chosen.why})")
    return runtime


def _open_with_torch(path: Path, options: Options) -> Runtime:
    from pipeline.model.checkpoint import load_checkpoint  # slow: imports torchvision
    from pipeline.runtime.open_torch import open_torch

    return open_torch(load_checkpoint(path), options)


_OPEN: dict[str, Callable[[Path, Options], Runtime]] = {
    "torch": _open_with_torch,
    "openvino": open_openvino,
    "onnxruntime": open_onnx,
}
