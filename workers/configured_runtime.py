"""Opens the runtime of an inference worker from its configuration."""

from functools import partial

from pipeline.base.config import Config
from pipeline.model.device import DeviceError, device_of
from pipeline.model.shipped import CheckpointError
from pipeline.runtime.base import Runtime
from pipeline.runtime.open_runtime import open_runtime
from pipeline.runtime.runtime_options import CalibrationClips, Options
from workers.base import WorkerError
from workers.model_check import wrong_checkpoint


def configured_runtime(config: Config) -> Runtime:
    """Opens the configured runtime.

    Raises:
        WorkerError: The checkpoint can't be used, or this machine lacks the device.
    """
    try:
        return open_runtime(
            config.inference.checkpoint,
            Options(
                device=_device(config),
                precision=config.inference.precision,
                longer_side_px=config.inference.longer_side_px,
                threads=config.inference.threads,
                provider=config.runtime.provider,
                graphs=config.runtime.cuda_graphs,
                clips=_calibration_clips,
                report=partial(print, flush=True),
            ),
            backend=config.runtime.backend,
        )
    except DeviceError as error:
        raise WorkerError(str(error)) from error
    except CheckpointError as error:
        raise wrong_checkpoint(error) from error


def _device(config: Config) -> str:
    """The device; workers that share streams are distributed across the GPUs of their machine."""
    inference = config.inference
    if not inference.shared_by:
        return inference.device
    return device_of(inference.device, inference.shared_by.index(inference.name))


def _calibration_clips(size: int, num_past: int, count: int, seed: int) -> CalibrationClips:
    """Clips for int8 calibration; imports the training package only when needed."""
    from pipeline.training.rendered.film import film_motions

    return film_motions(size, num_past, count, seed)
