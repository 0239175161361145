"""Converts tensors on any device to arrays and parts that need no torch, and back."""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from pipeline.model.network import StepOutput
from pipeline.runtime.engine import Answer, MotionFields
from pipeline.runtime.step import Part


def answer_of(output: StepOutput) -> Answer:
    """The answer in a network's output, of any dtype."""
    return fetched(output.logits.float().softmax(dim=1), output.attention, motion_of(output))


def motion_of(output: StepOutput) -> list[Tensor]:
    """The fields of dense motion in a network's output, as in ``MotionFields``; empty if it has none."""
    fields = (output.flow, output.uncertainty, output.moving, output.camera)
    return [field for field in fields if field is not None]


def fetched(probabilities: Tensor, attention: Tensor | None, motion: Sequence[Tensor]) -> Answer:
    """Builds an answer from its parts.

    Args:
        probabilities: ``(B, num_classes)`` float32.
        attention: None if not requested.
        motion: Fields of ``MotionFields``; empty if the network has no dense motion.
    """
    weights = None if attention is None else attention.half().cpu().numpy()
    fields = MotionFields(*map(floats, motion)) if motion else None
    return Answer(probabilities.cpu().numpy(), weights, fields)


def floats(tensor: Tensor) -> npt.NDArray[np.float32]:
    """A float32 copy in main memory."""
    array: npt.NDArray[np.float32] = tensor.float().cpu().numpy()
    return array


def part_of(tensor: Tensor) -> Part:
    """A copy of a tensor for another process."""
    flat = tensor.detach().cpu().contiguous()
    number = str(flat.dtype).removeprefix("torch.")
    return Part(number, tuple(flat.shape), flat.flatten().view(torch.uint8).numpy().tobytes())


def tensor_of(part: Part) -> Tensor:
    """The tensor of a valid part, in main memory."""
    return torch.frombuffer(bytearray(part.data), dtype=getattr(torch, part.number)).reshape(part.shape)
