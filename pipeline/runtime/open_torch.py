"""Opens a model on torch; a fast GPU engine must first agree with the plain one."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np

from pipeline.model.device import pick_device
from pipeline.model.network import TemporalKVQResNetCBAM
from pipeline.model.preprocessing import Size
from pipeline.runtime.base import Runtime
from pipeline.runtime.cuda.cuda_engine import cuda_engines
from pipeline.runtime.engine import Engine
from pipeline.runtime.runtime_options import Options
from pipeline.runtime.torch_engine import torch_engines

TOLERANCE = 0.1
"""Largest difference of a probability between two implementations; bfloat16 needs nearly as much."""
_STEPS = 4


def open_torch(model: TemporalKVQResNetCBAM, options: Options | None = None) -> Runtime:
    """The runtime for a device.

    On a GPU, captured graphs and custom kernels are used if enabled. If they fail, or differ from torch's own
    kernels, they are skipped with a message.

    Args:
        model: A network with its labels and preprocessing; not modified.
        options: Options.

    Raises:
        DeviceError: This machine lacks the device, or the device lacks the precision.
    """
    options = options or Options()
    about = replace(model.description, preprocessing=options.preprocessing(model.preprocessing))

    def runtime(engines: Callable[[Size], Engine]) -> Runtime:
        return Runtime(about, engines, options.name, options.why)

    plain = runtime(torch_engines(model, options))
    device = pick_device(options.device)
    if device.type == "cpu" or not options.graphs:
        return plain
    options.log("preparing kernels and graphs; this takes minutes the first time on a machine")
    try:
        fast = runtime(cuda_engines(model, device, options))
        difference = largest_difference(fast, plain)
    except Exception as error:  # compilers, drivers and kernels fail in many ways, and there is a fallback
        reason = str(error).strip().partition("\n")[0][:200]
        options.log(f"no CUDA graphs, so steps are slower: {reason}")
        return plain
    if difference <= TOLERANCE:
        return fast
    options.log(f"no CUDA graphs, so steps are slower: their results differ by {difference:.2g}")
    return plain


def largest_difference(one: Runtime, other: Runtime) -> float:
    """Largest difference of a probability over a few steps of noise; NaN if any output is NaN."""
    rng = np.random.default_rng(0)
    pasts: list[list[Any]] = [[None] * one.num_past for _ in range(2)]
    largest = 0.0
    for _ in range(_STEPS):
        picture = rng.integers(0, 256, (*one.usual_size, 3), np.uint8)
        found = []
        for runtime, past in zip((one, other), pasts, strict=True):
            step = runtime.infer([picture], [past])
            past[:] = [*past[1:], step.remember()[0].entry]
            found.append(step.results[0].probabilities)
        largest = float(np.maximum(largest, np.abs(found[0] - found[1]).max()))
    return largest
