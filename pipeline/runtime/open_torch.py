"""Torch on whatever device there is; on a GPU the fast runtime has to agree with the plain one first."""

from collections.abc import Callable
from typing import Any

import numpy as np

from pipeline.model.device import pick_device
from pipeline.model.network import TemporalKVQResNetCBAM
from pipeline.runtime.cuda.cuda_runtime import CudaRuntime
from pipeline.runtime.torch_runtime import TorchRuntime

TOLERANCE = 0.1
"""Of a probability, between two ways to compute in the same precision; bfloat16 needs nearly as much."""
_STEPS = 4


def open_torch(
    model: TemporalKVQResNetCBAM,
    device: str = "auto",
    precision: str = "auto",
    threads: int = 0,
    name: str = "model",
    *,
    graphs: bool = True,
    say: Callable[[str], None] = print,
) -> CudaRuntime | TorchRuntime:
    """The runtime for a device.

    Args:
        model: A network with its labels and preprocessing; it stays as it is.
        device: See ``open_runtime``.
        precision: See ``open_runtime``.
        threads: See ``open_runtime``.
        name: Of the model, for people.
        graphs: Whether a GPU may use captured graphs and kernels of our own. They are left out, with a
            message, where they fail or don't give what torch's own kernels give.
        say: Takes a line for people where something takes long or can't be had.

    Raises:
        DeviceError: This machine lacks the device, or the device the precision.
    """
    where = pick_device(device)
    plain = TorchRuntime(model, str(where), precision, threads, name)
    if where.type == "cpu" or not graphs:
        return plain
    say(f"{name}: preparing kernels and graphs; the first time on a machine that takes about 20 s")
    try:
        fast = CudaRuntime(model, where, precision, threads, name, say=say)
        off = largest_difference(fast, plain)
    except Exception as error:  # compilers, drivers and kernels fail in many ways, and there is another way
        say(
            f"{name}: no CUDA graphs, which makes it slower: {str(error).strip().partition(chr(10))[0][:200]}"
        )
        return plain
    if off <= TOLERANCE:
        return fast
    say(f"{name}: no CUDA graphs, which makes it slower: their answers are off by {off:.2g}")
    return plain


def largest_difference(one: CudaRuntime | TorchRuntime, other: CudaRuntime | TorchRuntime) -> float:
    """Largest difference of a probability over a few steps of noise; NaN if there is one anywhere."""
    dice = np.random.default_rng(0)
    side = one.describe_model()["image_size_px"]
    pasts: list[list[Any]] = [[None] * one.num_past for _ in range(2)]
    largest = 0.0
    for _ in range(_STEPS):
        picture = dice.integers(0, 256, (int(side), int(side), 3), np.uint8)
        answers = []
        for runtime, past in zip((one, other), pasts, strict=True):
            step = runtime.infer([picture], [past])
            past[:] = [*past[1:], *(memory.entry for memory in step.remember())]
            answers.append(step.results[0].probabilities)
        largest = float(np.maximum(largest, np.abs(answers[0] - answers[1]).max()))
    return largest
