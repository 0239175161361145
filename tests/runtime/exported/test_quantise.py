"""OpenVINO in int8: calibrated on rendered clips, close to float32, prepared once."""

import subprocess
import sys
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pipeline.base.camera_motions import CAMERA_MOTIONS
from pipeline.base.packages import load_package
from pipeline.model.checkpoint import load_checkpoint, save_checkpoint
from pipeline.model.description import describe_checkpoint
from pipeline.model.device import DeviceError
from pipeline.model.shipped import find_checkpoint
from pipeline.runtime.base import Runtime
from pipeline.runtime.exported.convert import to_openvino
from pipeline.runtime.exported.export_command import ExportError, export_step
from pipeline.runtime.exported.open_openvino import open_openvino
from pipeline.runtime.exported.ports import ports
from pipeline.runtime.exported.quantise import agreement, play, quantise
from pipeline.runtime.open_runtime import open_runtime
from pipeline.runtime.runtime_options import Options
from pipeline.training.rendered.film import Film, film_motions
from tests.model.small import small
from tests.support import need_module

ROOT = Path(__file__).parents[3]
SIZE = describe_checkpoint(find_checkpoint("motion_resnet18")).preprocessing.size


@pytest.fixture(scope="module", autouse=True)
def _packages() -> None:
    for package in ("openvino", "nncf"):
        need_module(package, package)


def few(size: int, num_past: int, count: int, seed: int, most: int = 24) -> Film:
    """At most so many clips, each pixel four times: the pictures are drawn in a quarter of the time."""
    film = film_motions(size // 2, num_past, min(count, most), seed)
    return film._replace(frames=film.frames.repeat(2, axis=2).repeat(2, axis=3))


three = partial(few, most=3)
"""Where it does not matter which ranges come out."""


@pytest.fixture(scope="module")
def shipped() -> Runtime:
    """The shipped model in int8; its calibration clips hold one that a range must not be stretched for."""
    model = load_checkpoint("motion_resnet18")
    return open_openvino(model, Options(precision="int8", clips=few, report=lambda _: None))


@pytest.fixture(scope="module")
def film(shipped: Runtime) -> Film:
    """Clips that were not calibrated on."""
    return few(SIZE, shipped.num_past, 24, 77)


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_the_shipped_model_in_int8_still_names_motions(shipped: Runtime, film: Film) -> None:
    right = 0
    for clip, label in zip(film.frames, film.labels, strict=True):
        past: list[Any] = [None] * shipped.num_past
        for frame in clip:
            step = shipped.infer([np.ascontiguousarray(frame[..., ::-1])], [past])  # blue, green, red
            past = [*past[1:], step.remember()[0].entry]
        right += shipped.labels[step.results[0].probabilities.argmax()] == label
    assert right >= 0.9 * len(film.labels)


def test_weights_become_integers_and_the_step_is_left_alone() -> None:
    openvino, ops = load_package("openvino"), load_package("openvino.opset13")
    rng = np.random.default_rng(0)
    frame = ops.parameter([1, 3, 16, 16], np.float32, name="frame")
    frame.output(0).get_tensor().set_names({"frame"})
    weights = rng.standard_normal((8, 3, 3, 3)).astype(np.float32)
    step = openvino.Model([ops.convolution(frame, weights, [1, 1], [1, 1], [1, 1], [1, 1])], [frame], "step")
    rough = quantise(step, [{"frame": rng.standard_normal((1, 3, 16, 16)).astype(np.float32)}] * 4)
    assert not any(node.get_type_name() == "FakeQuantize" for node in step.get_ops())
    assert any(node.get_type_name() == "FakeQuantize" for node in rough.get_ops())
    (convolution,) = (node for node in rough.get_ops() if node.get_type_name() == "Convolution")
    source = convolution.input_value(1).get_node()
    assert source.get_type_name() != "Constant", "integers and their scale"


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_dense_motion_stays_in_float32_and_its_backbone_does_not() -> None:
    model = small(motion=True)
    names, step = ports(model.architecture), to_openvino(model, pixels=True, streams=1)
    frames = np.random.default_rng(0).integers(0, 256, (2, 3, 64, 64, 3), np.uint8)
    compiled = load_package("openvino").Core().compile_model(step, "CPU")
    _, feeds = play(compiled, list(frames), model.init_state(1), names)
    integers = [node for node in quantise(step, feeds).get_ops() if node.get_type_name() == "FakeQuantize"]
    into = {
        target.get_node().get_friendly_name()
        for node in integers
        for target in node.output(0).get_target_inputs()
    }
    assert any("backbone.layer1" in name for name in into)
    assert not [name for name in into if ".motion" in name or ".pyramid" in name]


@pytest.mark.slow
def test_it_is_prepared_once_and_then_needs_no_nncf(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    file, lines = tmp_path / "tiny.safetensors", []
    save_checkpoint(file, small())
    runtime = open_openvino(
        file,
        Options(precision="int8", name="tiny", clips=three, least_agreement=0.0, report=lines.append),
    )
    assert runtime.describe()["precision"] == "int8"
    assert any("int8: same answer as float32 for" in line for line in lines)
    code = "import sys; sys.modules['nncf'] = sys.modules['pipeline.training'] = None\n"
    code += "from pipeline.runtime.open_runtime import open_runtime\n"
    code += "from pipeline.runtime.runtime_options import Options\n"
    code += "options = Options(precision='int8', clips=lambda *shape: 1 / 0)\n"
    code += f"runtime = open_runtime({str(file)!r}, options)\n"
    code += "print(runtime.describe()['backend'], runtime.describe()['precision'])"
    command = [sys.executable, "-c", code]
    ended = subprocess.run(command, cwd=ROOT, check=True, timeout=100, capture_output=True, text=True)
    assert ended.stdout.splitlines()[-1] == "openvino int8"
    other = "import importlib.metadata; importlib.metadata.version = lambda name: '0.0.0'\n"
    command = [sys.executable, "-c", other + code]
    ended = subprocess.run(command, cwd=ROOT, check=False, timeout=100, capture_output=True, text=True)
    assert "ZeroDivisionError" in ended.stderr, "with another NNCF it is rendered and calibrated anew"


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_known_pictures_in_int8_get_what_a_full_step_gives(shipped: Runtime, film: Film) -> None:
    off, moved = [], []
    for clip in film.frames[:4]:
        past: list[Any] = [None] * shipped.num_past
        for frame in clip:
            before = shipped.infer([frame], [past])
            known = before.remember()
            past = [*past[1:], known[0].entry]
            full = shipped.infer([frame], [past]).results[0]
            again = shipped.infer([frame], [past], known=known).results[0]
            assert again.depth == full.depth
            off.append(float(np.abs(again.probabilities - full.probabilities).max()))
            moved.append(float(np.abs(again.probabilities - before.results[0].probabilities).max()))
    assert max(off) < 1e-3, off
    assert max(moved) > 0.01, "the past that it was asked about matters"


@pytest.mark.slow
def test_int8_that_answers_otherwise_is_refused() -> None:
    with pytest.raises(DeviceError, match=r"int8 gives a different answer than float32 for \d+%"):
        open_openvino(
            small(),
            Options(precision="int8", clips=three, least_agreement=1.01, report=lambda _: None),
        )


def test_int8_without_clips_or_elsewhere_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(DeviceError, match="int8 needs clips"):
        open_runtime("motion_resnet18", Options(precision="int8"))
    with pytest.raises(DeviceError, match="choose auto"):
        open_runtime("motion_resnet18", Options(device="cpu", precision="int8"), backend="torch")
    with pytest.raises(ExportError, match="int8 requires --format openvino"):
        export_step("motion_resnet18", tmp_path / "step.onnx", clips=film_motions)


@pytest.mark.slow
def test_an_exported_file_in_int8_says_what_it_costs(tmp_path: Path) -> None:
    file, lines = tmp_path / "tiny.safetensors", []
    save_checkpoint(file, small(labels=list(CAMERA_MOTIONS)))
    export_step(file, tmp_path / "step.xml", report=lines.append, clips=three, least_agreement=0.0)
    assert any(line.startswith("int8: same answer as float32 for") for line in lines)
    assert any(line.startswith("int8: accuracy") for line in lines)
    step = load_package("openvino").Core().read_model(tmp_path / "step.xml")
    assert any(node.get_type_name() == "FakeQuantize" for node in step.get_ops())


@pytest.mark.slow
def test_an_export_in_int8_that_answers_otherwise_is_refused(tmp_path: Path) -> None:
    file, out = tmp_path / "tiny.safetensors", tmp_path / "new"
    save_checkpoint(file, small())
    with pytest.raises(ExportError, match=r"int8 gives a different answer .* nothing written; export"):
        export_step(file, out / "step.xml", report=lambda _: None, clips=three, least_agreement=1.01)
    assert not list(out.iterdir())


def test_clips_are_pixels_of_nine_motions() -> None:
    film = film_motions(48, 3, 40, 5)
    assert film.frames.shape == (40, 4, 48, 48, 3)
    assert film.frames.dtype == np.uint8
    assert len({*film.labels}) >= 7
    again, other = film_motions(48, 3, 40, 5), film_motions(48, 3, 40, 6)
    assert np.array_equal(film.frames, again.frames)
    assert not np.array_equal(film.frames, other.frames)
    still = np.array([label == "static" for label in film.labels])
    change = np.abs(film.frames[:, 0].astype(float) - film.frames[:, -1]).mean(axis=(1, 2, 3))
    assert change[still].mean() < change[~still].mean()


def test_agreement_counts_answers() -> None:
    assert agreement(np.eye(4), np.eye(4)[[0, 1, 3, 2]]) == 0.5
