"""The step on OpenVINO and ONNX Runtime: as on torch, and prepared only once."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from pipeline.base import stage_lines
from pipeline.model.checkpoint import save_checkpoint
from pipeline.model.device import DeviceError
from pipeline.model.network import TemporalKVQResNetCBAM
from pipeline.runtime.base import Runtime
from pipeline.runtime.exported.open_onnx import open_onnx
from pipeline.runtime.exported.open_openvino import open_openvino
from pipeline.runtime.exported.ports import ports
from pipeline.runtime.open_runtime import open_runtime
from pipeline.runtime.open_torch import open_torch
from pipeline.runtime.runtime_options import Options
from pipeline.runtime.step import Image
from tests.model.small import small
from tests.support import need_module

OPEN = {"openvino": open_openvino, "onnxruntime": open_onnx}
# An export to ONNX takes 15 s: every option is met by it here, in test_convert or in test_base.
SHAPES: dict[str, dict[str, Any]] = {
    "openvino": {},
    "onnxruntime": {
        "num_layers": 3,
        "num_past": 1,
        "attention": "plain",
        "use_shared_weights": False,
        "scales": ("layer3",),
    },
}
"""Options of the networks that most tests here run."""
PACKAGES = {"openvino": ["openvino"], "onnxruntime": ["onnx", "onnxscript", "onnxruntime"]}
CPU = Options(device="cpu")
QUIET = Options(precision="fp32", report=lambda line: None)


def need(backend: str) -> None:
    for package in PACKAGES[backend]:
        need_module(package, package)


def picture(rng: np.random.Generator) -> Image:
    return rng.integers(0, 256, (48, 70, 3), np.uint8)


def compare(runtime: Runtime, model: TemporalKVQResNetCBAM, steps: int) -> None:
    """Two streams beside torch, each runtime with entries of its own; streams start anew at times."""
    exact, rng = open_torch(model, CPU), np.random.default_rng(0)
    pasts = [[[None] * runtime.num_past for _ in range(2)] for _ in range(2)]
    depths = set()
    for step in range(steps):
        images = [picture(rng) for _ in range(2)]
        pair = []
        for player, past in zip((runtime, exact), pasts, strict=True):
            if step % 9 == 5:
                past[step % 2] = [None] * runtime.num_past
            answered = player.infer(images, past, want_attention=True)
            past[:] = [[*p[1:], new.entry] for p, new in zip(past, answered.remember(), strict=True)]
            pair.append(answered.results)
        for ours, theirs in zip(*pair, strict=True):
            assert ours.depth == theirs.depth
            depths.add(ours.depth)
            np.testing.assert_allclose(np.log(ours.probabilities), np.log(theirs.probabilities), atol=1e-3)
            assert ours.attention.dtype == np.float16
            np.testing.assert_allclose(ours.attention, theirs.attention, atol=1e-3)
    assert depths == set(range(runtime.num_past + 1))


def reuse(runtime: Runtime, *, off: float = 1e-5) -> None:
    """The same pictures twice, as new ones and as known ones, in front of empty, short and full pasts."""
    rng = np.random.default_rng(4)
    shown = [picture(rng) for _ in range(3)]
    step = runtime.infer(shown, [[None] * runtime.num_past] * 3)
    memories = step.remember()
    assert all(memory.features is not None for memory in memories)
    each = step.backbone_passes // 3
    for filled in range(runtime.num_past + 1):
        empty = [None] * (runtime.num_past - filled)
        pasts = [[*empty, *(memories[(row + n) % 3].entry for n in range(filled))] for row in range(3)]
        mixed = [picture(rng), *shown[1:]]
        full = runtime.infer(mixed, pasts, want_attention=True)
        again = runtime.infer(mixed, pasts, want_attention=True, known=[None, *memories[1:]])
        for expected, found in zip(full.results, again.results, strict=True):
            assert found.depth == expected.depth == filled
            np.testing.assert_allclose(found.probabilities, expected.probabilities, atol=off)
            np.testing.assert_allclose(found.attention, expected.attention, atol=max(off, 1e-3))
        for expected, found in zip(full.remember(), again.remember(), strict=True):
            torch.testing.assert_close(found.entry, expected.entry, atol=1e-4, rtol=1e-4)
        assert (full.backbone_passes, again.backbone_passes) == (3 * each, each)
        memories = [memories[0], *again.remember()[1:]]  # what was reused can be reused


@pytest.fixture(scope="module", params=OPEN)
def backend(request: pytest.FixtureRequest) -> str:
    need(request.param)
    return str(request.param)


@pytest.fixture(scope="module")
def model(backend: str) -> TemporalKVQResNetCBAM:
    return small(labels=[*"abcdefghi"], **SHAPES[backend])


@pytest.fixture(scope="module")
def runtime(backend: str, model: TemporalKVQResNetCBAM) -> Runtime:
    return OPEN[backend](model, replace(QUIET, name="tiny", threads=1))


@pytest.mark.slow
def test_fifty_steps_of_two_streams_with_resets_are_those_of_torch(
    runtime: Runtime, model: TemporalKVQResNetCBAM
) -> None:
    compare(runtime, model, 50)


@pytest.mark.slow
def test_it_says_what_it_is_and_counts_passes(
    backend: str, runtime: Runtime, model: TemporalKVQResNetCBAM
) -> None:
    runtime.warm_up(batch_size=2)
    step = runtime.infer([picture(np.random.default_rng(1))] * 3, [[None] * model.num_past] * 3)
    assert step.backbone_passes == {"openvino": 3, "onnxruntime": 3 * 2}[backend]
    assert all(result.attention is None for result in step.results)
    about = runtime.describe()
    assert (about["backend"], about["device"], about["precision"], about["threads"]) == (
        runtime.engine.backend,
        "cpu",
        "fp32",
        1,
    )
    assert runtime.describe_model() == open_torch(model, replace(CPU, name="tiny")).describe_model()
    assert runtime.labels == tuple("abcdefghi")


@pytest.mark.slow
def test_steps_outlive_the_next_ones(runtime: Runtime) -> None:
    rng, empty = np.random.default_rng(3), [None] * runtime.num_past
    image = picture(rng)
    first = runtime.infer([image], [empty], want_attention=True)
    probabilities = first.results[0].probabilities.copy()
    (same,) = runtime.infer([image], [empty]).remember()
    second = runtime.infer([picture(rng)], [[*empty[1:], same.entry]], want_attention=True)
    weights = second.results[0].attention.copy()
    runtime.infer([picture(rng)], [empty], want_attention=True)
    (memory,) = first.remember()
    assert np.array_equal(first.results[0].probabilities, probabilities)
    torch.testing.assert_close(memory.entry, same.entry)
    np.testing.assert_allclose(memory.features[0], same.features[0], atol=1e-5)
    assert np.array_equal(second.results[0].attention, weights)


@pytest.mark.slow
def test_known_pictures_get_what_a_full_step_gives(runtime: Runtime) -> None:
    reuse(runtime)


@pytest.mark.slow
def test_unshared_backbones_and_tied_values() -> None:
    need("openvino")
    model = small(use_shared_weights=False, attention="plain", num_past=1)
    runtime = open_openvino(model, QUIET)
    compare(runtime, model, 10)
    assert runtime.infer([picture(np.random.default_rng(0))], [[None]]).backbone_passes == 2
    reuse(runtime)


@pytest.mark.slow
def test_known_pictures_with_other_options() -> None:
    need("openvino")
    reuse(open_openvino(small(num_layers=2, scales=("layer3", "layer4"), num_past=3, head="grid"), QUIET))


@pytest.mark.slow
def test_where_the_answer_can_not_be_cut_out_every_picture_is_computed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    need("openvino")
    model, lines = small(), []
    names = ports(model.architecture)._replace(features=("appearance",))
    monkeypatch.setattr("pipeline.runtime.exported.open_openvino.ports", lambda architecture: names)
    runtime = open_openvino(model, Options(precision="fp32", name="tiny", report=lines.append))
    assert lines[-1].startswith("tiny: unchanged images are computed like new ones: ")
    assert lines[-1].endswith("the answer needs more of the frame than appearance")
    memories = runtime.infer([picture(np.random.default_rng(0))], [[None, None]]).remember()
    assert memories[0].features is None
    with pytest.raises(ValueError, match="a known image needs features"):
        runtime.infer([picture(np.random.default_rng(0))], [[None, None]], known=memories)


@pytest.mark.slow
def test_it_is_prepared_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    need("openvino")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    file, lines = tmp_path / "tiny.safetensors", []
    save_checkpoint(file, small())
    image, answers = picture(np.random.default_rng(0)), []

    def start() -> bool:
        """Whether it had to be prepared."""
        lines.clear()
        runtime = open_runtime(file, Options(report=lines.append), backend="openvino")
        answers.append(runtime.infer([image], [[None, None]]).results[0].probabilities)
        reuse(runtime)
        *before, last = lines
        assert "runs on openvino" in last
        return any("preparing for openvino" in line for line in before)

    assert start()
    assert not start()
    np.testing.assert_allclose(*answers, atol=1e-5)


@pytest.mark.slow
@pytest.mark.parametrize("backend", ["openvino", "onnxruntime"])
def test_preparing_it_goes_on_reporting(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, backend: str
) -> None:
    need(backend)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr(stage_lines, "EVERY_S", 0.05)
    file, lines = tmp_path / "tiny.safetensors", []
    save_checkpoint(file, small())
    open_runtime(file, Options(name="tiny", report=lines.append), backend=backend)
    first, *others = [line for line in lines if line.startswith(f"tiny: preparing for {backend}")]
    assert first.endswith("once per machine ...")
    assert others
    assert all(line.endswith("s so far") for line in others)


@pytest.mark.slow
def test_without_a_folder_for_it_everything_still_works(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    need("openvino")
    file, lines = tmp_path / "tiny.safetensors", []
    save_checkpoint(file, small())
    monkeypatch.setenv("XDG_CACHE_HOME", str(file))
    runtime = open_runtime(file, Options(report=lines.append), backend="openvino")
    assert len(lines) == 3
    assert "can't be cached for the next start" in lines[1]
    assert runtime.infer([picture(np.random.default_rng(0))], [[None, None]]).results[0].depth == 0


@pytest.mark.parametrize(
    ("backend", "wish", "message"),
    [
        ("openvino", {"device": "cuda"}, "backend openvino runs on the CPU, not on cuda: choose auto or cpu"),
        ("openvino", {"precision": "fp16"}, "backend openvino supports fp32, bf16, int8, not fp16"),
        ("onnxruntime", {"precision": "bf16"}, "backend onnxruntime supports fp32, not bf16"),
        ("openvino", {"provider": "cuda"}, "provider cuda requires backend onnxruntime, not openvino"),
        ("auto", {"provider": "cpu"}, "provider cpu requires backend onnxruntime, not auto"),
        ("onnxruntime", {"provider": "abacus"}, "provider 'abacus': choose auto, cpu, cuda, tensorrt"),
        ("onnxruntime", {"provider": "cpu", "device": "cuda"}, "provider cpu does not run on device cuda"),
        ("onnxruntime", {"provider": "cuda", "device": "cpu"}, "provider cuda does not run on device cpu"),
    ],
)
def test_wishes_that_a_backend_can_not_grant(backend: str, wish: dict[str, str], message: str) -> None:
    with pytest.raises(DeviceError, match=message):
        open_runtime("motion_resnet18", Options(**wish), backend=backend)


@pytest.mark.parametrize(
    ("wish", "provider"),
    [
        ({"device": "cuda"}, "CUDAExecutionProvider"),
        ({"provider": "cuda"}, "CUDAExecutionProvider"),
        ({"provider": "tensorrt"}, "TensorrtExecutionProvider"),
    ],
    ids=str,
)
def test_onnx_runtime_does_not_fall_back_to_the_cpu(wish: dict[str, str], provider: str) -> None:
    need("onnxruntime")
    import onnxruntime

    if provider in onnxruntime.get_available_providers():
        pytest.skip(f"this ONNX Runtime has {provider}")
    with pytest.raises(DeviceError, match=f"has no {provider}.*pip install onnxruntime-gpu") as caught:
        open_runtime("motion_resnet18", Options(**wish), backend="onnxruntime")
    assert "\n" not in str(caught.value)


def test_an_unknown_backend_is_named() -> None:
    with pytest.raises(DeviceError, match="backend 'abacus': choose auto, torch, openvino, onnxruntime"):
        open_runtime("motion_resnet18", backend="abacus")
