import json
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import torch

from pipeline.model.checkpoint import load_checkpoint, save_checkpoint
from pipeline.model.state import State
from pipeline.runtime.exported.convert import about
from pipeline.runtime.exported.export_command import (
    PIXEL_TOLERANCE,
    TOLERANCE,
    ExportError,
    compare,
    export_step,
)
from pipeline.runtime.exported.ports import ports
from tests.model.small import SIZE, small
from tests.runtime.exported.test_convert import check_any_batch
from tests.support import need_module

PACKAGES = {"step.onnx": ["onnx", "onnxscript", "onnxruntime"], "step.xml": ["openvino"]}


@pytest.mark.slow
@pytest.mark.parametrize("name", PACKAGES)
def test_a_checked_file_and_what_it_takes(tmp_path: Path, name: str) -> None:
    for package in PACKAGES[name]:
        need_module(package, package)
    scales = ("layer2", "layer3", "layer4")
    save_checkpoint(tmp_path / "tiny.safetensors", small(num_past=4, scales=scales, motion=True))
    model = load_checkpoint(tmp_path / "tiny.safetensors")  # its weights are rounded
    lines: list[str] = []
    export_step(tmp_path / "tiny.safetensors", tmp_path / "new" / name, report=lines.append)
    files = {"step.onnx": ["step.onnx"], "step.xml": ["step.bin", "step.xml"]}[name]
    assert sorted(path.name for path in (tmp_path / "new").iterdir()) == files
    metadata = about(model)
    described = [line.split() for line in lines[: -1 - len(metadata)]]
    names = ports(model.architecture)
    assert [port[1] for port in described] == [*names.inputs, *names.outputs]
    assert lines[0].endswith(f"(batch, 3, {SIZE}, {SIZE})")
    assert "50 steps with resets match torch" in lines[-1]
    assert lines[-1 - len(metadata) : -1] == [f"{key}: {value}" for key, value in metadata.items()]
    assert _metadata(tmp_path / "new" / name) == metadata
    assert json.loads(metadata["labels"]) == list(model.labels)
    assert f"stretched to {SIZE}x{SIZE}" in metadata["frame"]
    if name == "step.onnx":
        check_any_batch(model, tmp_path / "new" / name)


def _metadata(path: Path) -> dict[str, str]:
    if path.suffix == ".onnx":
        import onnx

        return {entry.key: entry.value for entry in onnx.load(str(path)).metadata_props}
    import openvino

    found = openvino.Core().read_model(str(path))
    return {key: found.get_rt_info(["model_info", key]).value for key in about(small())}


def wrong(name: str, by: float, **options: Any) -> Any:
    model = small(**options)
    names = ports(model.architecture)

    @torch.inference_mode()
    def step(inputs: dict[str, npt.NDArray[Any]]) -> dict[str, npt.NDArray[Any]]:
        frame, *state = (torch.from_numpy(inputs[part]) for part in names.inputs)
        output, after = model.step(frame, State(*state), return_attention=True)
        parts = [getattr(output, part) for part in names.answer] + [*after.parts()]
        outputs = dict(zip(names.outputs, parts, strict=True))
        if name:
            outputs[name] = outputs[name] + by
        return {part: value.numpy() for part, value in outputs.items()}

    return step


def test_the_comparison_passes_the_model_itself() -> None:
    assert max(compare(small(), wrong("", 0.0), steps=4).values()) < 1e-6


def test_the_comparison_looks_at_dense_motion() -> None:
    model = small(motion=True)
    assert max(compare(model, wrong("", 0.0, motion=True), steps=4).values()) < 1e-6
    for name in ("flow", "uncertainty", "moving", "camera", "next_match", "next_fine"):
        limit = PIXEL_TOLERANCE if name in ("flow", "uncertainty") else TOLERANCE
        with pytest.raises(ExportError, match=f"in {name}, more than {limit}: nothing written"):
            compare(model, wrong(name, 10 * limit, motion=True), steps=2)


@pytest.mark.parametrize(("name", "by"), [("logits", 0.01), ("attention", 0.01), ("logits", np.nan)])
def test_the_comparison_finds_what_is_wrong(name: str, by: float) -> None:
    with pytest.raises(ExportError, match=f"in {name}, more than 0.001: nothing written"):
        compare(small(), wrong(name, by), steps=2)


@pytest.mark.parametrize(
    ("out", "kind", "message"),
    [
        ("step.txt", None, "give --format onnx or openvino"),
        ("step.onnx", "openvino", "a file of format openvino ends in .xml"),
        ("step.onnx", "gif", "give --format onnx or openvino"),
    ],
)
def test_errors_are_one_line(tmp_path: Path, out: str, kind: str | None, message: str) -> None:
    with pytest.raises(ExportError, match=message):
        export_step("motion_resnet18", tmp_path / out, kind)
    assert not list(tmp_path.iterdir())


@pytest.mark.slow
def test_outputs_that_are_one_tensor_are_all_compared(tmp_path: Path) -> None:
    """Tied values are the keys: OpenVINO gives one tensor with two names."""
    need_module("openvino", "openvino")
    save_checkpoint(tmp_path / "tied.safetensors", small(attention="plain", num_past=1))
    export_step(tmp_path / "tied.safetensors", tmp_path / "step.xml", report=lambda line: None)
    assert (tmp_path / "step.xml").exists()
