"""Converts the step to ONNX and OpenVINO."""

import json
import warnings
from copy import deepcopy
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from pipeline.base.packages import load_package
from pipeline.model.architecture import MOTION_STAGES
from pipeline.model.preprocessing import Size
from pipeline.model.state import State
from pipeline.runtime.exported.ports import ports
from pipeline.runtime.fold_batch_norms import fold_batch_norms

if TYPE_CHECKING:
    from pipeline.model.network import TemporalKVQResNetCBAM
    from pipeline.model.temporal import Attended


class ExportedStep(nn.Module):
    """``model.step`` with only tensors as inputs and outputs.

    Args:
        model: The network.
        size: Size of the frames; None for ``usual_size``.
        pixels: For use by our own runtimes: the frame is an image, ``(B, rows, columns, 3)`` uint8 in
            red-green-blue, which the step normalises itself, and ``Ports.features`` are outputs too.
    """

    factor: Tensor
    offset: Tensor

    def __init__(
        self, model: "TemporalKVQResNetCBAM", size: Size | None = None, *, pixels: bool = False
    ) -> None:
        from pipeline.runtime.exported.gates import reshape_gates  # slow: imports torchvision
        from pipeline.runtime.exported.projections import average_early, fix_positions, join_projections

        super().__init__()
        self.model, self.pixels = deepcopy(model).eval(), pixels
        size = size or model.preprocessing.usual_size
        fold_batch_norms(self.model)
        reshape_gates(self.model, size)
        fix_positions(self.model, size)
        join_projections(self.model)
        average_early(self.model)
        for name in ("factor", "offset"):
            self.register_buffer(name, torch.tensor(getattr(model.preprocessing, name)), persistent=False)

    def forward(self, frame: Tensor, *parts: Tensor) -> tuple[Tensor, ...]:
        """Frame ``(B, 3, rows, columns)`` or pixels, and parts of a ``State``, to ``Ports.outputs``."""
        if self.pixels:
            frame = (frame.float() * self.factor + self.offset).permute(0, 3, 1, 2)
        state, features = State(*parts), self.model.encode(frame)
        attended: Attended = self.model.temporal(features, *state.slotwise(), state.valid)
        answer: tuple[Tensor, ...] = (attended.logits, attended.weights)
        seen = attended.projections
        if self.model.motion is not None:
            motion = self.model.motion_of(features, state)
            logits = attended.logits + self.model.motion_votes(motion.summary)
            answer = (logits, attended.weights, motion.flow, motion.uncertainty, motion.moving, motion.camera)
            seen = (*seen, *(features[stage] for stage in MOTION_STAGES))
        after = state.push(self.model.remember(frame, features))
        return *answer, *after.parts(), *(seen if self.pixels else ())


def export_onnx(
    model: "TemporalKVQResNetCBAM", path: str | Path, size: Size | None = None, *, pixels: bool = False
) -> None:
    """Writes one step as ONNX, for any number of streams in a batch.

    An input that the network does not use (``values``, if values are tied to keys) is kept, so that all
    models have the same inputs.

    Args:
        model: In eval mode, on the CPU.
        path: Path of the ``.onnx`` file, which contains the weights.
        size: Size of the frames; None for ``usual_size``.
        pixels: See ``ExportedStep``.

    Raises:
        MissingPackageError: The extra ``onnx`` is not installed.
    """
    for package in ("onnx", "onnxscript"):
        load_package(package)
    size = size or model.preprocessing.usual_size
    with warnings.catch_warnings(), torch.no_grad():
        warnings.simplefilter("ignore")  # deprecation warnings of the exporter
        torch.onnx.export(
            ExportedStep(model, size, pixels=pixels).eval(),
            _example(model, size, pixels),
            str(path),
            input_names=ports(model.architecture).inputs,
            output_names=_outputs(model, pixels),
            dynamic_shapes=_batch_is_free(model),
            dynamo=True,
            external_data=False,
            verbose=False,
        )
    onnx = load_package("onnx")
    file = onnx.load(str(path))
    onnx.helper.set_model_props(file, about(model, size, pixels=pixels))
    onnx.save(file, str(path))


def to_openvino(
    model: "TemporalKVQResNetCBAM", size: Size | None = None, *, pixels: bool = False, streams: int = -1
) -> Any:
    """One step as an ``openvino.Model``, converted without ONNX.

    Args:
        model: In eval mode, on the CPU.
        size: Size of the frames; None for ``usual_size``.
        pixels: See ``ExportedStep``.
        streams: Streams in a batch; -1 for any number, which takes twice as long to convert.

    Raises:
        MissingPackageError: The extra ``openvino`` is not installed.
    """
    openvino = load_package("openvino")
    size = size or model.preprocessing.usual_size
    example = _example(model, size, pixels)
    with warnings.catch_warnings(), torch.no_grad():
        warnings.simplefilter("ignore")  # tracing warns about everything it makes constant
        step = ExportedStep(model, size, pixels=pixels).eval()
        # not torch.export: it and its decompositions take three times as long for the same operators
        traced = torch.jit.trace(step, example, check_trace=False)  # type: ignore[no-untyped-call]
        shapes = [openvino.PartialShape([streams, *x.shape[1:]]) for x in example]
        converted = openvino.convert_model(traced, example_input=example, input=shapes)
    passes = load_package("openvino.passes")
    manager = passes.Manager()
    manager.register_pass(passes.ConstantFolding())  # folds the sizes that the trace reads from each map
    manager.run_passes(converted)
    names = *ports(model.architecture).inputs, *_outputs(model, pixels)
    for port, name in zip((*converted.inputs, *converted.outputs), names, strict=True):
        port.get_tensor().set_names({name})
    for key, value in about(model, size, pixels=pixels).items():
        converted.set_rt_info(value, ["model_info", key])
    return converted


def about(
    model: "TemporalKVQResNetCBAM", size: Size | None = None, *, pixels: bool = False
) -> dict[str, str]:
    """Metadata of an exported file: what a program needs to know besides the shapes."""
    rows, columns = size or model.preprocessing.usual_size
    resized = f"{'resized' if model.preprocessing.keep_aspect else 'stretched'} to {columns}x{rows}"
    normalised = {
        "mean": json.dumps(model.preprocessing.mean),
        "std": json.dumps(model.preprocessing.std),
        "frame": f"RGB, {resized}, (value / 255 - mean) / std",
    }
    return {
        "labels": json.dumps(model.labels, ensure_ascii=False),
        "state": "starts with zeros and valid = false; feed the next_ outputs back with the next frame",
        **({"frame": f"RGB, uint8, {resized}"} if pixels else normalised),
    }


def save_openvino(step: Any, path: str | Path) -> None:
    """Writes an ``openvino.Model``: the ``.xml`` file, and its weights next to it as ``.bin``, unrounded.

    Raises:
        MissingPackageError: The extra ``openvino`` is not installed.
    """
    load_package("openvino").save_model(step, str(path), compress_to_fp16=False)


def _outputs(model: "TemporalKVQResNetCBAM", pixels: bool) -> tuple[str, ...]:
    names = ports(model.architecture)
    return (*names.outputs, *names.features) if pixels else names.outputs


def _example(model: "TemporalKVQResNetCBAM", size: Size, pixels: bool) -> tuple[Tensor, ...]:
    """Inputs for two streams: with one, the exporter would make the batch size a constant."""
    frame = torch.zeros(2, *size, 3, dtype=torch.uint8) if pixels else torch.zeros(2, 3, *size)
    return frame, *model.init_state(2, size).parts()


def _batch_is_free(model: "TemporalKVQResNetCBAM") -> tuple[Any, ...]:
    """One entry for the frame, and one for all parts of the state, which are one argument."""
    batch = torch.export.Dim("batch", min=1, max=1024)
    return {0: batch}, ({0: batch},) * len(ports(model.architecture).state)
