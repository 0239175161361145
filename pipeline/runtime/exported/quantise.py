"""Quantises an OpenVINO step to int8 and measures the loss of accuracy."""

import logging
from collections.abc import Iterable, Sequence
from contextlib import redirect_stdout
from io import StringIO
from typing import Any

import numpy as np
import numpy.typing as npt

from pipeline.base.packages import load_package, package_version
from pipeline.model.preprocessing import Size
from pipeline.runtime.exported.model_cache import code_digest
from pipeline.runtime.exported.ports import Ports

Array = npt.NDArray[Any]
Feed = dict[str, Array]
"""Inputs of a step by name, for one stream."""
CALIBRATION_SEED, HELD_OUT_SEED = 11, 2_000_003
CALIBRATION_CLIPS = 32
_MOTION_MODULES = (".motion.", ".motion/", ".pyramid.")
"""Parts of operator names from tracing; the pyramid is part of an exported backbone."""
CLIP_CODE = ("base/camera_motions.py", "training/samples.py", "training/rendered")
"""Code that renders the calibration clips; the network's code is always included."""


def versions() -> list[str]:
    """What the ranges depend on besides the step: NNCF and the code of the clips. Imports neither."""
    return [package_version("nncf"), f"clips {code_digest(*CLIP_CODE)}"]


def cropped(clips: Array, size: Size) -> Array:
    """The centre of square clips ``(n, T + 1, side, side, 3)``, cropped to a size."""
    top, left = ((clips.shape[2] - side) // 2 for side in size)
    return clips[:, :, top : top + size[0], left : left + size[1]]


def play(
    compiled: Any, frames: Iterable[Array], empty: Sequence[Array], ports: Ports
) -> tuple[Array, list[Feed]]:
    """Runs clips frame by frame, each from an empty state.

    Args:
        compiled: The step as an OpenVINO compiled model.
        frames: For each clip ``(T + 1, ...)``, in the step's input format.
        empty: The state of one stream without a past, in the order of ``Ports.state``.
        ports: Names of the step's inputs and outputs.

    Returns:
        The logits after each clip, ``(n, num_classes)``, and all inputs of the step.
    """
    request, logits, feeds = compiled.create_infer_request(), [], []
    for clip in frames:
        state = [*empty]
        for frame in clip:
            feeds.append(dict(zip(ports.inputs, [frame[None], *state], strict=True)))
            found = request.infer(feeds[-1], share_inputs=True, share_outputs=False)
            state = [found[f"next_{part}"] for part in ports.state]
        logits.append(found["logits"][0])
    return np.stack(logits), feeds


def quantise(step: Any, feeds: list[Feed]) -> Any:
    """The step with weights and activations in int8.

    The range of each activation is the median over the feeds of their largest values. The usual mean fails
    here: with the shipped network, about one rendered clip in a hundred has values a thousand times larger
    than the others, which would leave almost no int8 steps for them.

    Dense motion stays in float32: it measures fractions of a pixel.

    Args:
        step: An ``openvino.Model`` in float32; not modified.
        feeds: Examples of its inputs.

    Raises:
        MissingPackageError: The extra ``int8`` is not installed.
    """
    logging.getLogger("torch.utils.cpp_extension").setLevel(logging.ERROR)  # NNCF triggers its GPU check
    load_package("openvino")  # first, so that it is loaded without telemetry
    nncf = load_package("nncf")
    advanced = load_package("nncf.quantization.advanced_parameters")
    ranges = load_package("nncf.quantization.range_estimator")
    nncf.common.logging.logger.disable_logging()
    with redirect_stdout(StringIO()):  # hides progress bars
        return nncf.quantize(
            step,
            nncf.Dataset(feeds),
            subset_size=len(feeds),
            advanced_parameters=advanced.AdvancedQuantizationParameters(
                disable_bias_correction=True,
                activations_range_estimator_params=ranges.RangeEstimatorParametersSet.MEDIAN_MINMAX,
            ),
            ignored_scope=nncf.IgnoredScope(names=_of_motion(step)),
        )


def _of_motion(step: Any) -> list[str]:
    """Names of the operators of dense motion: its own modules, and everything that depends on its past."""
    every = (node.get_friendly_name() for node in step.get_ops())
    own = {name for name in every if any(module in name for module in _MOTION_MODULES)}
    past = [port.get_node() for port in step.inputs if port.get_names() & {"match", "fine"}]
    later: set[str] = set()
    while past:
        for port in past.pop().outputs():
            nodes = [target.get_node() for target in port.get_target_inputs()]
            new = [node for node in nodes if node.get_friendly_name() not in later]
            later.update(node.get_friendly_name() for node in new)
            past += new
    return sorted(own | later)


def agreement(one: Array, other: Array) -> float:
    """Share of clips with the same answer: logits ``(n, num_classes)`` of two steps."""
    return float((one.argmax(axis=1) == other.argmax(axis=1)).mean())
