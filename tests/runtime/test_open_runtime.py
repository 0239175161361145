import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

import pytest

from pipeline.model.checkpoint import save_checkpoint
from pipeline.model.device import DeviceError
from pipeline.model.shipped import CheckpointError
from pipeline.runtime.open_runtime import open_runtime
from pipeline.runtime.runtime_options import Options
from tests.model.small import shaken, small
from tests.support import need_module

ROOT = Path(__file__).parents[2]


def run(code: str, *arguments: str, check: bool = True) -> "subprocess.CompletedProcess[str]":
    """Runs Python code in a process of its own."""
    command = [sys.executable, "-c", code, *arguments]
    return subprocess.run(command, cwd=ROOT, check=check, timeout=100, capture_output=True, text=True)


def test_a_checkpoint_is_opened_by_path(tmp_path: Path) -> None:
    save_checkpoint(tmp_path / "tiny.safetensors", small())
    runtime = open_runtime(tmp_path / "tiny.safetensors", Options(device="cpu"))
    assert runtime.describe_model()["name"] == "tiny"
    runtime.warm_up()


def test_errors_are_readable(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match="no such file"):
        open_runtime(tmp_path / "none.safetensors")
    save_checkpoint(tmp_path / "tiny.safetensors", small())
    with pytest.raises(DeviceError, match="CUDA device"):
        open_runtime(tmp_path / "tiny.safetensors", Options(device="cuda:99"))


def test_no_package_of_other_rooms_and_no_optional_one_is_needed() -> None:
    others = ["zmq", "av", "rich", "typer", "openvino", "onnx", "onnxruntime", "matplotlib"]
    code = f"import sys; sys.modules.update(dict.fromkeys({others}))\n"  # importing them fails from now on
    code += "import pipeline.runtime.open_runtime, pipeline.runtime.exported.convert\n"
    code += "import temporal_kvq_resnet_cbam\n"
    code += "print('imported')"
    assert run(code).stdout == "imported\n"


class Start(NamedTuple):
    """What a process showed that opened a checkpoint on OpenVINO twice, then on torch.

    Attributes:
        threads: Of the three runtimes, and of torch after them.
        loaded: Which of the packages that an export takes were loaded after the first.
    """

    threads: list[str]
    loaded: str


@pytest.fixture(scope="module")
def starts(tmp_path_factory: pytest.TempPathFactory) -> list[Start]:
    """A cold start and a warm one."""
    need_module("openvino", "openvino")
    place = tmp_path_factory.mktemp("starts")
    save_checkpoint(place / "tiny.safetensors", small())
    code = f"import os, sys; os.environ |= {{'OMP_NUM_THREADS': '2', 'XDG_CACHE_HOME': {str(place)!r}}}\n"
    code += "from pipeline.runtime.open_runtime import open_runtime\n"
    code += "for number, backend in enumerate(('openvino', 'openvino', 'torch')):\n"
    code += f"    runtime = open_runtime({str(place / 'tiny.safetensors')!r}, backend=backend)\n"
    code += "    runtime.warm_up()\n"
    code += "    print(runtime.engine.threads)\n"
    code += "    if number == 0:\n"
    code += "        slow = ('torch', 'torchvision', 'torch._dynamo', 'sympy')\n"
    code += "        print('loaded', *(name for name in slow if name in sys.modules))\n"
    code += "import torch; print(torch.get_num_threads())"
    outputs = [run(code).stdout.splitlines() for _ in range(2)]
    return [
        Start(
            [line for line in lines if line.isdecimal()],
            next(line for line in lines if line.startswith("loaded")),
        )
        for lines in outputs
    ]


@pytest.mark.slow
def test_the_number_of_threads_does_not_depend_on_what_was_opened_before(starts: list[Start]) -> None:
    assert [start.threads for start in starts] == [["2", "2", "2", "2"]] * 2


@pytest.mark.slow
def test_a_warm_start_needs_neither_network_nor_torch(starts: list[Start]) -> None:
    assert [start.loaded for start in starts] == ["loaded torch torchvision torch._dynamo sympy", "loaded"]


@pytest.mark.slow
@pytest.mark.parametrize("backend", ["openvino", "auto"])
def test_a_checkpoint_that_changes_while_it_is_read_is_not_kept_under_the_former_ones_name(
    backend: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    need_module("openvino", "openvino")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    path, newer = tmp_path / "model.safetensors", tmp_path / "newer.safetensors"
    save_checkpoint(path, small())
    save_checkpoint(newer, shaken(small()))
    assert path.read_bytes() != newer.read_bytes()
    lines: list[str] = []

    def training_ends(line: str) -> None:
        lines.append(line)
        newer.replace(path)

    with pytest.raises(CheckpointError, match="was replaced while it was being read; start again"):
        open_runtime(path, Options(device="cpu", report=training_ends), backend=backend)
    assert "preparing for" in lines[0]
    assert list(tmp_path.rglob("*.model")) == []


@pytest.mark.slow
def test_auto_goes_on_with_torch_where_the_fastest_backend_fails(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    need_module("openvino", "openvino")
    save_checkpoint(tmp_path / "tiny.safetensors", small())
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    code = "import sys; from pipeline.runtime.open_runtime import open_runtime\n"
    code += "sys.modules['openvino.frontend.pytorch.ts_decoder'] = None\n"  # as if it were not installed
    code += f"runtime = open_runtime({str(tmp_path / 'tiny.safetensors')!r})\n"
    code += "runtime.warm_up(); print(runtime.describe()['backend'])\n"
    code += f"open_runtime({str(tmp_path / 'tiny.safetensors')!r}, backend='openvino')"
    ended = run(code, check=False)
    assert "openvino can't run this model (ModuleNotFoundError" in ended.stdout
    assert "runs on torch, cpu, fp32 (openvino can't run this model)\ntorch\n" in ended.stdout
    assert "ModuleNotFoundError: import of openvino.frontend" in ended.stderr, "who asks for it gets no other"
