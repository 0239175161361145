"""Checks the configured model before anything starts, without loading torch."""

import json

from PIL import Image

from pipeline.base.config import Config
from pipeline.base.packages import need_extra
from pipeline.model.shipped import CheckpointError, find_checkpoint, read_header, with_remedy
from workers.base import WorkerError

_EXTRAS = {"openvino": "openvino", "onnxruntime": "onnx"}
"""The extra that installs each backend's packages."""
_PRECISIONS = {"openvino": ("auto", "fp32", "bf16", "int8"), "onnxruntime": ("auto", "fp32")}
"""Precisions of each backend; those of torch depend on the device, which only torch can query."""


def check_model(config: Config) -> None:
    """Checks the checkpoint, the backend with its packages, device and precision, and the images of views.

    Raises:
        WorkerError: The checkpoint does not exist, a view's image can't be read, or the backend does not
            support the device or precision.
        MissingPackageError: A package is not installed.
    """
    _check_precision(config.runtime.backend, config.inference.device, config.inference.precision)
    try:
        header = read_header(find_checkpoint(config.inference.checkpoint))
    except CheckpointError as error:
        raise wrong_checkpoint(error) from error
    for key, is_wanted in (("inference.motion_maps", config.inference.motion_maps), ("views", config.views)):
        if is_wanted and not json.loads(header.get("architecture", "{}")).get("motion"):
            raise WorkerError(
                f"{key}: {config.inference.checkpoint} has no dense motion: choose a checkpoint "
                f"trained with model.motion=true, or leave {key.rpartition('.')[2]} out"
            )
    _check_views(config)
    if config.runtime.backend in _EXTRAS:
        need_extra(_EXTRAS[config.runtime.backend])
    if config.inference.precision == "int8":
        need_extra("int8")


def _check_views(config: Config) -> None:
    for name, view in config.views.items():
        try:
            with Image.open(view.picture) as picture:
                picture.load()
        except (OSError, SyntaxError, Image.DecompressionBombError) as error:
            reason = error.strerror if isinstance(error, OSError) and error.strerror else "not an image"
            raise WorkerError(f"views.{name}.picture: {view.picture}: {reason.lower()}") from error


def _check_precision(backend: str, device: str, precision: str) -> None:
    known = _PRECISIONS.get(backend)
    if precision == "int8" and (backend not in ("auto", "openvino") or device.startswith("cuda")):
        raise WorkerError(
            "inference.precision=int8 needs OpenVINO on a CPU, "
            f"not backend {backend} on device {device}: "
            "set runtime.backend=openvino and inference.device=cpu, or another precision"
        )
    if known and precision not in known:
        raise WorkerError(
            f"runtime.backend={backend} supports {', '.join(known[1:])}, not {precision}: "
            "set inference.precision=auto, or runtime.backend=torch"
        )


def wrong_checkpoint(error: CheckpointError) -> WorkerError:
    """An error that states what is wrong with the checkpoint and what to use instead."""
    return WorkerError(with_remedy(error, "inference.checkpoint"))
