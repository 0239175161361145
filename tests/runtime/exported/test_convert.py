from pathlib import Path
from typing import Any

import pytest
import torch

from pipeline.model.network import TemporalKVQResNetCBAM
from pipeline.model.state import State
from pipeline.runtime.exported.convert import ExportedStep, export_onnx
from pipeline.runtime.exported.export_command import PIXEL_TOLERANCE
from pipeline.runtime.exported.ports import ports
from tests.model.options import OPTIONS
from tests.model.small import SIZE, clip, small
from tests.support import need_module


@torch.no_grad()
@pytest.mark.parametrize("options", OPTIONS.values(), ids=OPTIONS)
def test_what_is_reshaped_for_an_export_computes_the_same(options: dict[str, Any]) -> None:
    model, rng = small(**options), torch.Generator().manual_seed(3)
    names, step = [*model.state_dict()], ExportedStep(model, pixels=True)
    factor, offset = (torch.tensor(x) for x in (model.preprocessing.factor, model.preprocessing.offset))
    state = exported = model.init_state(2)
    step_ports = ports(model.architecture)
    for _ in range(model.num_past + 1):
        pixels = torch.randint(0, 256, (2, SIZE, SIZE, 3), generator=rng, dtype=torch.uint8)
        found = step(pixels, *exported.parts())
        parts = dict(zip((*step_ports.outputs, *step_ports.features), found, strict=True))
        exported = State(*(parts[f"next_{part}"] for part in step_ports.state))
        frame = (pixels * factor + offset).permute(0, 3, 1, 2)
        expected, state = model.step(frame, state, return_attention=True)
        for name in step_ports.answer:
            torch.testing.assert_close(parts[name], getattr(expected, name), atol=1e-3, rtol=0)
        for ours, theirs in zip(exported.parts(), state.parts(), strict=True):
            torch.testing.assert_close(ours, theirs, atol=1e-3, rtol=0)
    assert [*model.state_dict()] == names


@pytest.mark.slow
@torch.no_grad()
def test_onnx_step_equals_torch_step_for_any_batch(tmp_path: Path) -> None:
    for module in ("onnx", "onnxscript", "onnxruntime"):
        need_module(module, module)
    # an export takes 15 s: test_export_command has one with the other options
    model, path = (
        small(
            attention="plain",
            head="grid",
            use_shared_weights=False,
            num_layers=3,
            num_past=1,
            scales=("layer3",),
            cbam_start="official",
        ),
        tmp_path / "step.onnx",
    )
    export_onnx(model, path)
    check_any_batch(model, path)


@torch.no_grad()
def check_any_batch(model: TemporalKVQResNetCBAM, path: Path) -> None:
    """Whether a file of ONNX computes what the network does, for one stream and for three."""
    import onnxruntime

    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    names = ports(model.architecture)
    assert [node.name for node in session.get_inputs()] == list(names.inputs)
    assert [node.name for node in session.get_outputs()] == list(names.outputs)
    for batch in (1, 3):
        state = model.init_state(batch)
        arrays = [part.numpy() for part in state.parts()]
        for frame in clip(batch, model.num_past + 2).unbind(1):
            expected, state = model.step(frame, state, return_attention=True)
            inputs = dict(zip(names.inputs, [frame.numpy(), *arrays], strict=True))
            outputs = dict(zip(names.outputs, session.run(None, inputs), strict=True))
            for name in names.answer:
                limit = PIXEL_TOLERANCE if name in ("flow", "uncertainty") else 1e-4
                found = torch.from_numpy(outputs.pop(name))
                torch.testing.assert_close(found, getattr(expected, name), atol=limit, rtol=0)
            arrays = list(outputs.values())
        for array, part in zip(arrays, state.parts(), strict=True):
            torch.testing.assert_close(torch.from_numpy(array), part, atol=1e-3, rtol=0)
