"""Dense motion of a network for a stream of images of any size."""

import cv2
import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from pipeline.base.frame import Image
from pipeline.model.network import TemporalKVQResNetCBAM
from pipeline.model.state import State
from pipeline.scene.dense_motion import DenseMotion
from pipeline.training.evaluation.motion_fields import MotionStream, OpenStream, PictureSize, network_size
from pipeline.training.samples import normalised

_INTERVAL_MS = 40.0  # assumed, because data sets do not specify it; only speeds depend on it


def open_network_motion(model: TemporalKVQResNetCBAM, size: PictureSize = network_size) -> OpenStream:
    """Opens streams through a network.

    Args:
        model: In evaluation mode, on the device to use.
        size: Gives the input size for a frame.

    Raises:
        ValueError: The network has no motion head.
    """
    blank = np.zeros((32, 32, 3), np.uint8)
    with torch.inference_mode():
        output = model.step(_as_input(blank, model, (32, 32)), model.init_state(1, (32, 32)))[0]
    if output.flow is None:
        raise ValueError(
            "this network has no motion head, which --flow, --moving, --still and --camera need: "
            "give a --checkpoint that has one"
        )
    return lambda: _stream(model, size)


def _stream(model: TemporalKVQResNetCBAM, size: PictureSize) -> MotionStream:
    state: State | None = None
    ages_ms = [_INTERVAL_MS * age for age in range(model.num_past, 0, -1)]

    def step(picture: Image) -> DenseMotion:
        nonlocal state
        height, width = picture.shape[:2]
        seen = size(height, width)
        with torch.inference_mode():
            if state is None:
                state = model.init_state(1, seen)
            valid = state.valid[0].cpu().numpy()
            output, state = model.step(_as_input(picture, model, seen), state)
        return DenseMotion(
            moving=_array(output.moving),
            flow=_array(output.flow),
            uncertainty=_array(output.uncertainty),
            camera=_array(output.camera),
            valid=valid,
            history_ms=ages_ms,
            aspect=height / width,
        )

    return step


def _as_input(picture: Image, model: TemporalKVQResNetCBAM, size: tuple[int, int]) -> Tensor:
    rows, columns = size
    resized = cv2.resize(picture, (columns, rows), interpolation=cv2.INTER_AREA)
    pixels = torch.from_numpy(cv2.cvtColor(resized, cv2.COLOR_BGR2RGB))
    pixels = pixels.to(next(model.parameters()).device).permute(2, 0, 1)[None]
    return normalised(pixels.float() / 255, model)


def _array(rows: Tensor | None) -> npt.NDArray[np.float32]:
    assert rows is not None, "the network had a motion head when the stream was opened"
    return rows[0].float().cpu().numpy()
