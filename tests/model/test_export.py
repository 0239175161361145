from pathlib import Path

import pytest
import torch

from pipeline.model.export import INPUTS, OUTPUTS, export_onnx
from tests.model.small import clip, small
from tests.support import need_module


@pytest.mark.slow
@torch.no_grad()
@pytest.mark.parametrize("attention", ["match", "plain"])
def test_onnx_step_equals_torch_step_for_any_batch(tmp_path: Path, attention: str) -> None:
    for module in ("onnx", "onnxscript", "onnxruntime"):
        need_module(module, module)
    import onnxruntime

    model, path = small(attention=attention), tmp_path / "step.onnx"
    export_onnx(model, path)
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    assert [node.name for node in session.get_inputs()] == list(INPUTS)
    assert [node.name for node in session.get_outputs()] == list(OUTPUTS)
    for batch in (1, 3):
        state = model.init_state(batch)
        arrays = [part.numpy() for part in state]
        for frame in clip(batch, 4).unbind(1):
            expected, state = model.step(frame, state, return_attention=True)
            logits, weights, *arrays = session.run(
                None, dict(zip(INPUTS, [frame.numpy(), *arrays], strict=True))
            )
            torch.testing.assert_close(torch.from_numpy(logits), expected.logits, atol=1e-4, rtol=0)
            torch.testing.assert_close(torch.from_numpy(weights), expected.attention, atol=1e-4, rtol=0)
        for array, part in zip(arrays, state, strict=True):
            torch.testing.assert_close(torch.from_numpy(array), part, atol=1e-3, rtol=0)
