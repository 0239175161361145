"""The step as an ONNX file: frame and state in, logits, attention and the next state out."""

import warnings
from pathlib import Path

import torch
from torch import Tensor, nn

from pipeline.model.network import TemporalKVQResNetCBAM
from pipeline.model.state import State

INPUTS = ("frame", "keys", "values", "valid")
OUTPUTS = ("logits", "attention", "next_keys", "next_values", "next_valid")


class ExportedStep(nn.Module):
    """``model.step`` with tensors only.

    Args:
        model: The network.
    """

    def __init__(self, model: TemporalKVQResNetCBAM) -> None:
        super().__init__()
        self.model = model

    def forward(self, frame: Tensor, keys: Tensor, values: Tensor, valid: Tensor) -> tuple[Tensor, ...]:
        """Frame ``(B, 3, size, size)`` and the parts of a ``State``; gives ``OUTPUTS``."""
        output, state = self.model.step(frame, State(keys, values, valid), return_attention=True)
        assert output.attention is not None
        return output.logits, output.attention, *state


def export_onnx(model: TemporalKVQResNetCBAM, path: str | Path) -> None:
    """Writes one step as ONNX, for any number of streams in a batch.

    Needs the extra ``onnx`` (``pip install onnx onnxscript``). An input that the network does not use
    (``values``, where values are tied to keys) is kept, so that every model is called alike.

    Args:
        model: In eval mode, on the CPU.
        path: Of the ``.onnx`` file; weights are inside.
    """
    size = model.preprocessing.size
    example = (torch.zeros(2, 3, size, size), *model.init_state(2))
    batch = torch.export.Dim("batch", min=1, max=1024)
    with warnings.catch_warnings(), torch.no_grad():
        warnings.simplefilter("ignore")  # the exporter speaks of its own future
        torch.onnx.export(
            ExportedStep(model).eval(),
            example,
            str(path),
            input_names=INPUTS,
            output_names=OUTPUTS,
            dynamic_shapes=({0: batch},) * len(example),
            dynamo=True,
            external_data=False,
            verbose=False,
        )
