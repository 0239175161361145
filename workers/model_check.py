"""What can be said of the configured model before anything starts: without torch, in milliseconds."""

from pipeline.config import Config
from pipeline.model.packages import need_package
from pipeline.model.shipped import CheckpointError, find_checkpoint, read_header
from workers.base import WorkerError

_PACKAGES = {"openvino": ("openvino", "openvino"), "onnxruntime": ("onnxruntime", "onnx")}
"""By backend: the package that it needs, and the extra that installs it."""


def check_model(config: Config) -> None:
    """Looks whether the checkpoint is one, and whether the backend's package is installed.

    Raises:
        WorkerError: There is no such checkpoint.
        MissingPackageError: The package is not installed.
    """
    try:
        read_header(find_checkpoint(config.inference.checkpoint))
    except CheckpointError as error:
        raise wrong_checkpoint(error) from error
    if config.runtime.backend in _PACKAGES:
        need_package(*_PACKAGES[config.runtime.backend])


def wrong_checkpoint(error: CheckpointError) -> WorkerError:
    """What is wrong with the checkpoint, and what to give instead."""
    return WorkerError(
        f"{error}; inference.checkpoint takes the name of a shipped checkpoint or a file that was "
        "made by `python run_stream.py train`"
    )
