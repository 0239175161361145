"""The command ``export``: writes a step to a file and checks it against torch."""

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from pipeline.base.packages import load_package
from pipeline.base.scratch import scratch_folder
from pipeline.base.stage_lines import print_stage, stage
from pipeline.model.checkpoint import load_checkpoint
from pipeline.model.network import TemporalKVQResNetCBAM
from pipeline.runtime.exported import quantise
from pipeline.runtime.exported.convert import about, export_onnx, save_openvino, to_openvino
from pipeline.runtime.exported.formats import ExportError, pick_format
from pipeline.runtime.exported.ports import ports
from pipeline.runtime.runtime_options import LEAST_AGREEMENT, ClipMaker

TOLERANCE = 1e-3
PIXEL_TOLERANCE = 1e-2
"""For flow and its uncertainty: in pixels, or relative to values above one pixel."""
_IN_PIXELS = ("flow", "uncertainty")
_STEPS = 50
_STREAMS = 2
_SCORED = 300
_RESET = 0.1

Step = Callable[[dict[str, npt.NDArray[Any]]], dict[str, npt.NDArray[Any]]]
"""Maps inputs by name to outputs by name."""


def export_step(
    checkpoint: str | Path,
    out: Path,
    kind: str | None = None,
    report: Callable[[str], None] = print,
    *,
    notify: Callable[[str], None] = print_stage,
    clips: ClipMaker | None = None,
    least_agreement: float = LEAST_AGREEMENT,
) -> None:
    """Writes one step to a file after checking that it computes the same as the model.

    Args:
        checkpoint: A file, or the name of a shipped checkpoint.
        out: ``.onnx``, or ``.xml`` (the weights are written next to it, as ``.bin``).
        kind: ``onnx`` or ``openvino``; None chooses by the suffix of ``out``.
        report: Receives human-readable lines about the file.
        notify: Receives human-readable progress lines.
        clips: Makes clips. If given, the step is quantised to int8 with some of them, and scored on others
            before and after.
        least_agreement: Share of the scored clips for which int8 and float32 must give the same answer.

    Raises:
        ExportError: Kind and suffix do not match, the exported step differs from the model's, or its int8
            and float32 answers differ too often.
        CheckpointError: The checkpoint does not exist or cannot be used.
        MissingPackageError: A package that writes or runs the file is not installed.
        OSError: The file cannot be written.
    """
    kind = pick_format(out, kind, int8=clips is not None)
    model = load_checkpoint(checkpoint)
    run = _openvino if kind == "openvino" else _onnx
    out.parent.mkdir(parents=True, exist_ok=True)
    with scratch_folder(".export-", out.parent) as folder:
        draft = folder / out.name
        with stage(f"{out}: exporting", notify):
            if kind == "openvino":
                save_openvino(to_openvino(model), draft)
            else:
                export_onnx(model, draft)
        with stage(f"{out}: comparing {_STEPS} steps with torch", notify):
            step, described = run(draft)
            off = compare(model, step)
        if clips is not None:
            _to_int8(model, draft, clips, least_agreement, report, notify)
        for part in folder.iterdir():
            part.replace(out.parent / part.name)
    for port in described:
        report(port)
    for key, value in about(model).items():
        report(f"{key}: {value}")
    largest = ", ".join(f"{name} {off[name]:.1g}" for name in ports(model.architecture).answer)
    before = ", before quantisation," if clips is not None else ""
    report(
        f"{out}: {_STEPS} steps with resets{before} match torch in float32; largest differences: {largest}"
    )


def compare(model: TemporalKVQResNetCBAM, step: Step, steps: int = _STEPS) -> dict[str, float]:
    """Runs an exported step and the model's side by side, each with its own state, over streams with resets.

    Args:
        model: In eval mode, on the CPU.
        step: The exported step.
        steps: Number of consecutive steps.

    Returns:
        The largest difference of each output.

    Raises:
        ExportError: A difference exceeds ``TOLERANCE``, or ``PIXEL_TOLERANCE`` for outputs in pixels.
    """
    rng = torch.Generator().manual_seed(0)
    size = model.preprocessing.usual_size
    state = model.init_state(_STREAMS, size)
    names = ports(model.architecture)
    own = {name: part.numpy() for name, part in zip(names.state, state.parts(), strict=True)}
    largest = dict.fromkeys(names.outputs, 0.0)
    for _ in range(steps):
        frame = torch.randn(_STREAMS, 3, *size, generator=rng)
        again = torch.rand(_STREAMS, generator=rng) < _RESET
        state = state.cleared(again)
        own["valid"] = own["valid"] & ~again.numpy()[:, None]
        with torch.inference_mode():
            output, state = model.step(frame, state, return_attention=True)
        found = step({"frame": frame.numpy()} | own)
        expected = [getattr(output, name) for name in names.answer] + [*state.parts()]
        for name, ours in zip(names.outputs, expected, strict=True):
            wanted = ours.numpy().astype(np.float64)
            scale = np.maximum(1.0, np.abs(wanted)) if name in _IN_PIXELS else 1.0
            off = float((np.abs(wanted - found[name]) / scale).max())
            largest[name] = max(largest[name], math.inf if math.isnan(off) else off)
        own = {part: found[f"next_{part}"] for part in names.state}
    limits = {name: PIXEL_TOLERANCE if name in _IN_PIXELS else TOLERANCE for name in largest}
    worst = max(largest, key=lambda name: largest[name] / limits[name])
    if largest[worst] > limits[worst]:
        raise ExportError(
            f"the exported step differs by {largest[worst]:.2g} in {worst}, "
            f"more than {limits[worst]}: nothing written"
        )
    return largest


def _to_int8(
    model: TemporalKVQResNetCBAM,
    path: Path,
    make_clips: ClipMaker,
    least_agreement: float,
    report: Callable[[str], None],
    notify: Callable[[str], None],
) -> None:
    """Quantises an OpenVINO file in place, unless that changes too many answers on held-out clips."""
    core = load_package("openvino").Core()
    size = model.preprocessing.usual_size
    empty = [part.numpy() for part in model.init_state(1, size).parts()]
    factor, offset = (
        np.array(values, np.float32).reshape(3, 1, 1)
        for values in (model.preprocessing.factor, model.preprocessing.offset)
    )

    def clips(count: int, seed: int) -> tuple[list[npt.NDArray[Any]], list[str]]:
        found = make_clips(max(size), model.num_past, count, seed)
        cut = quantise.cropped(found.frames, size)
        return [clip.transpose(0, 3, 1, 2) * factor + offset for clip in cut], list(found.labels)

    def play(step: Any, frames: list[npt.NDArray[Any]]) -> tuple[npt.NDArray[Any], list[quantise.Feed]]:
        compiled = core.compile_model(step, "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
        return quantise.play(compiled, frames, empty, ports(model.architecture))

    counted = f"{quantise.CALIBRATION_CLIPS} clips for calibration and {_SCORED} others for scoring"
    with stage(f"int8: rendering {counted}", notify):
        frames, _ = clips(quantise.CALIBRATION_CLIPS, quantise.CALIBRATION_SEED)
        held_out, labels = clips(_SCORED, quantise.HELD_OUT_SEED)
    exact = core.read_model(path.read_bytes(), path.with_suffix(".bin").read_bytes())
    with stage("int8: choosing the ranges of all layers", notify):
        rough = quantise.quantise(exact, play(exact, frames)[1])
    with stage(f"int8: scoring {_SCORED} clips before and after quantisation", notify):
        before, after = (play(step, held_out)[0] for step in (exact, rough))
    share = quantise.agreement(before, after)
    if share < least_agreement:
        raise ExportError(
            f"int8 gives a different answer than float32 for {1 - share:.0%} of the clips: nothing written; "
            "export without --int8"
        )
    save_openvino(rough, path)
    report(f"int8: same answer as float32 for {share:.1%} of {len(held_out)} clips")
    if set(labels) <= {*model.labels}:
        truth = np.array([model.labels.index(label) for label in labels])
        shares = [float((found.argmax(axis=1) == truth).mean()) for found in (before, after)]
        report(f"int8: accuracy {shares[0]:.1%} in float32, {shares[1]:.1%} in int8")


def _onnx(path: Path) -> tuple[Step, list[str]]:
    """Opens the file in ONNX Runtime; returns the step and a description of its inputs and outputs."""
    package = load_package("onnxruntime")
    session = package.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    nodes = {"input": session.get_inputs(), "output": session.get_outputs()}
    lines = [
        _describe(kind, node.name, node.type.removeprefix("tensor(").rstrip(")"), node.shape)
        for kind, group in nodes.items()
        for node in group
    ]
    names = [node.name for node in nodes["output"]]
    return lambda inputs: dict(zip(names, session.run(None, inputs), strict=True)), lines


def _openvino(path: Path) -> tuple[Step, list[str]]:
    """Opens the file in OpenVINO; returns the step and a description of its inputs and outputs."""
    core = load_package("openvino").Core()
    compiled = core.compile_model(str(path), "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
    nodes = {"input": compiled.inputs, "output": compiled.outputs}
    lines = [
        _describe(kind, port.any_name, port.element_type.to_string(), list(port.partial_shape))
        for kind, group in nodes.items()
        for port in group
    ]

    def step(inputs: dict[str, npt.NDArray[Any]]) -> dict[str, npt.NDArray[Any]]:
        found = compiled(inputs)
        return {name: found[port] for port in compiled.outputs for name in port.names}

    return step, lines


def _describe(kind: str, name: str, dtype: str, shape: list[Any]) -> str:
    sizes = ", ".join("batch" if n == 0 else str(size) for n, size in enumerate(shape))
    return f"{kind:6}  {name:11}  {dtype:7}  ({sizes})"
