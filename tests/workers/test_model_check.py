"""A wrong model is told before anything starts, by a program that has not loaded torch."""

import subprocess
import sys
from pathlib import Path

import pytest

from pipeline.base.config import load_config
from pipeline.base.packages import MissingPackageError
from pipeline.model.checkpoint import save_checkpoint
from tests.model.small import small
from tests.workers.program import Program
from workers.base import WorkerError
from workers.model_check import check_model

ROOT = Path(__file__).parents[2]


def test_a_wrong_checkpoint_is_told_before_any_worker_starts(place: Path) -> None:
    wrong = ("--set", "inference.checkpoint=nowhere.safetensors")
    with Program(place, "--headless", "--no-web", *wrong) as program:
        outcome = program.finish()
    assert outcome.code == 2, outcome.told()
    assert outcome.err.startswith("error: nowhere.safetensors: no such file; inference.checkpoint takes")
    assert outcome.err.count("\n") == 1
    assert outcome.out == "", "a worker has started"


def test_a_backend_that_is_not_installed_is_told_too(monkeypatch: pytest.MonkeyPatch) -> None:
    for backend, extra in (("openvino", "openvino"), ("onnxruntime", "onnx")):
        monkeypatch.setitem(sys.modules, backend, None)
        with pytest.raises(
            MissingPackageError, match=rf"{backend} is not installed: pip install .*\[{extra}\]"
        ):
            check_model(load_config(overrides=[f"runtime.backend={backend}"]))


def test_a_view_without_a_picture_is_told_too(tmp_path: Path) -> None:
    (tmp_path / "text.png").write_text("no picture")
    (tmp_path / "short.png").write_bytes(bytes.fromhex("89504e470d0a1a0a0000000d49484452"))
    for name, wrong in (
        ("nowhere.png", "no such file"),
        ("text.png", "not an image"),
        ("short.png", "not an image"),
    ):
        config = load_config(overrides=[f"views.gate.picture='{tmp_path / name}'"])
        with pytest.raises(WorkerError, match=rf"views\.gate\.picture: .*{name}: {wrong}"):
            check_model(config)


def test_motion_maps_need_a_network_with_dense_motion(tmp_path: Path) -> None:
    for motion in (True, False):
        save_checkpoint(tmp_path / "own.safetensors", small(motion=motion))
        wanted = [f"inference.checkpoint={tmp_path}/own.safetensors", "inference.motion_maps=true"]
        if motion:
            check_model(load_config(overrides=wanted))
        else:
            with pytest.raises(WorkerError, match=r"own\.safetensors has no dense motion: choose"):
                check_model(load_config(overrides=wanted))
            check_model(load_config(overrides=wanted[:1]))


def test_the_check_needs_no_torch() -> None:
    code = (
        "import sys; sys.modules.update(torch=None, torchvision=None)\n"
        "import workers.commands.run_pipeline\n"
        "from pipeline.base.config import load_config\n"
        "workers.commands.run_pipeline.check_model(load_config())"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, timeout=100)
    assert (done.stderr, done.returncode) == ("", 0)


def test_a_wrong_export_is_refused_before_torch_is_loaded(place: Path) -> None:
    code = (
        "import sys; sys.modules.update(torch=None, torchvision=None)\n"
        "import run_stream\n"
        "sys.argv[1:] = ['export', '--out', 'step.txt']\n"
        "run_stream.main()"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, timeout=100)
    assert (done.stderr, done.returncode) == ("error: step.txt: give --format onnx or openvino\n", 2)


def test_a_precision_that_does_not_fit_is_refused_and_others_are_not() -> None:
    def check(backend: str, precision: str, device: str = "auto") -> None:
        wanted = (
            f"runtime.backend={backend}",
            f"inference.precision={precision}",
            f"inference.device={device}",
        )
        check_model(load_config(overrides=list(wanted)))

    for backend, precision, device in (
        ("torch", "int8", "auto"),
        ("onnxruntime", "int8", "cpu"),
        ("auto", "int8", "cuda"),
        ("openvino", "fp16", "auto"),
        ("onnxruntime", "fp16", "auto"),
    ):
        with pytest.raises(WorkerError, match=r"precision=|supports"):
            check(backend, precision, device)
    for backend, precision in (("auto", "fp16"), ("torch", "bf16"), ("openvino", "fp32"), ("auto", "auto")):
        check(backend, precision)
