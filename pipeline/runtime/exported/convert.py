"""The step for ONNX and OpenVINO: frame and state in, logits, attention and the next state out."""

import json
import warnings
from copy import deepcopy
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from pipeline.base.packages import load_package
from pipeline.model.architecture import Architecture
from pipeline.model.state import State
from pipeline.runtime.fold_batch_norms import fold_batch_norms

if TYPE_CHECKING:
    from pipeline.model.network import TemporalKVQResNetCBAM
    from pipeline.model.temporal import Attended

INPUTS = ("frame", "keys", "values", "valid")
OUTPUTS = ("logits", "attention", "next_keys", "next_values", "next_valid")


def query_projections(architecture: Architecture) -> tuple[str, ...]:
    """Names of what a step for pixels gives beside ``OUTPUTS``: ``Attended.projections``."""
    return "appearance", *(f"query_{number}" for number in range(architecture.num_layers))


class ExportedStep(nn.Module):
    """``model.step`` with tensors only.

    Args:
        model: The network.
        pixels: As the runtimes of this program want it: the frame is a picture, ``(B, size, size, 3)`` uint8
            in red-green-blue, that the step normalises itself, and ``query_projections`` come out too.
    """

    factor: Tensor
    offset: Tensor

    def __init__(self, model: "TemporalKVQResNetCBAM", *, pixels: bool = False) -> None:
        from pipeline.runtime.exported.gates import reshape_gates  # slow: torchvision comes with it
        from pipeline.runtime.exported.projections import average_early, join_projections

        super().__init__()
        self.model, self.pixels = deepcopy(model).eval(), pixels
        fold_batch_norms(self.model)
        reshape_gates(self.model)
        join_projections(self.model)
        average_early(self.model)
        for name in ("factor", "offset"):
            self.register_buffer(name, torch.tensor(getattr(model.preprocessing, name)), persistent=False)

    def forward(self, frame: Tensor, keys: Tensor, values: Tensor, valid: Tensor) -> tuple[Tensor, ...]:
        """Frame ``(B, 3, size, size)``, or pixels, and the parts of a ``State``; gives ``OUTPUTS``."""
        if self.pixels:
            frame = (frame.float() * self.factor + self.offset).permute(0, 3, 1, 2)
        state, features = State(keys, values, valid), self.model.encode(frame)
        attended: Attended = self.model.temporal(features, *state.slotwise(), valid)
        state = state.push(self.model.remember(frame, features))
        return attended.logits, attended.weights, *state, *(attended.projections if self.pixels else ())


def export_onnx(model: "TemporalKVQResNetCBAM", path: str | Path, *, pixels: bool = False) -> None:
    """Writes one step as ONNX, for any number of streams in a batch.

    An input that the network does not use (``values``, where values are tied to keys) is kept, so that
    every model is called alike.

    Args:
        model: In eval mode, on the CPU.
        path: Of the ``.onnx`` file; weights are inside.
        pixels: See ``ExportedStep``.

    Raises:
        MissingPackageError: The extra ``onnx`` is not installed.
    """
    for package in ("onnx", "onnxscript"):
        load_package(package)
    with warnings.catch_warnings(), torch.no_grad():
        warnings.simplefilter("ignore")  # the exporter speaks of its own future
        torch.onnx.export(
            ExportedStep(model, pixels=pixels).eval(),
            _example(model, pixels),
            str(path),
            input_names=INPUTS,
            output_names=_outputs(model, pixels),
            dynamic_shapes=_batch_is_free(),
            dynamo=True,
            external_data=False,
            verbose=False,
        )
    onnx = load_package("onnx")
    file = onnx.load(str(path))
    onnx.helper.set_model_props(file, about(model, pixels=pixels))
    onnx.save(file, str(path))


def to_openvino(model: "TemporalKVQResNetCBAM", *, pixels: bool = False) -> Any:
    """One step as an ``openvino.Model``, for any number of streams in a batch; ONNX is not needed for it.

    Args:
        model: In eval mode, on the CPU.
        pixels: See ``ExportedStep``.

    Raises:
        MissingPackageError: The extra ``openvino`` is not installed.
    """
    openvino = load_package("openvino")
    example = _example(model, pixels)
    with warnings.catch_warnings(), torch.no_grad():
        warnings.simplefilter("ignore")  # both exporters speak of their own future
        step = ExportedStep(model, pixels=pixels).eval()
        program = torch.export.export(step, example, dynamic_shapes=_batch_is_free())
        converted = openvino.convert_model(program)
    names = *INPUTS, *_outputs(model, pixels)
    for port, name in zip((*converted.inputs, *converted.outputs), names, strict=True):
        port.get_tensor().set_names({name})
    converted.reshape({name: [-1, *x.shape[1:]] for name, x in zip(INPUTS, example, strict=True)})
    for key, value in about(model, pixels=pixels).items():
        converted.set_rt_info(value, ["model_info", key])
    return converted


def about(model: "TemporalKVQResNetCBAM", *, pixels: bool = False) -> dict[str, str]:
    """What a program needs to know beside the shapes, for the metadata of an exported file."""
    size = model.preprocessing.size
    normalised = {
        "mean": json.dumps(model.preprocessing.mean),
        "std": json.dumps(model.preprocessing.std),
        "frame": f"RGB, stretched to {size}x{size}, (value / 255 - mean) / std",
    }
    return {
        "labels": json.dumps(model.labels, ensure_ascii=False),
        "state": "starts with zeros and valid = false; the next_ outputs go in with the next frame",
        **({"frame": f"RGB, uint8, stretched to {size}x{size}"} if pixels else normalised),
    }


def save_openvino(step: Any, path: str | Path) -> None:
    """Writes an ``openvino.Model``: the ``.xml`` file, and its weights beside it as ``.bin``, unrounded.

    Raises:
        MissingPackageError: The extra ``openvino`` is not installed.
    """
    load_package("openvino").save_model(step, str(path), compress_to_fp16=False)


def _outputs(model: "TemporalKVQResNetCBAM", pixels: bool) -> tuple[str, ...]:
    return (*OUTPUTS, *query_projections(model.architecture)) if pixels else OUTPUTS


def _example(model: "TemporalKVQResNetCBAM", pixels: bool) -> tuple[Tensor, ...]:
    """Two streams: with one, the exporter would take the batch for a constant."""
    size = model.preprocessing.size
    frame = torch.zeros(2, size, size, 3, dtype=torch.uint8) if pixels else torch.zeros(2, 3, size, size)
    return frame, *model.init_state(2)


def _batch_is_free() -> tuple[dict[int, Any], ...]:
    batch = torch.export.Dim("batch", min=1, max=1024)
    return ({0: batch},) * len(INPUTS)
