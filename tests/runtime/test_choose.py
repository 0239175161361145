"""What ``auto`` means, with the packages of other backends really absent, in a process of its own."""

import json
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest
import torch

from pipeline.runtime.choose import choose_backend
from pipeline.runtime.exported.open_openvino import capabilities
from tests.support import need_module

ROOT = Path(__file__).parents[2]


CHOOSE = """
import json, sys
from pipeline.runtime.choose import choose_backend
for absent in json.loads(sys.argv[1]):
    before = {name: sys.modules.pop(name, None) for name in absent}
    sys.modules.update(dict.fromkeys(absent))
    print(*choose_backend("cpu", "auto"), sep="|")
    for name, module in before.items():
        del sys.modules[name]
        if module:
            sys.modules[name] = module
"""
"""The choices for a CPU where importing some packages fails."""


def test_on_a_cpu_the_fastest_that_is_there() -> None:
    for package in ("openvino", "onnx", "onnxscript", "onnxruntime"):
        need_module(package, package)
    absent = json.dumps([[], ["openvino"], ["openvino", "onnx"], ["openvino", "onnxruntime"]])
    command = [sys.executable, "-c", CHOOSE, absent]
    ended = subprocess.run(command, cwd=ROOT, check=True, timeout=100, capture_output=True, text=True)
    first, second, *others = ended.stdout.splitlines()
    assert first.startswith("openvino|fastest")
    assert second.startswith("onnxruntime|fastest")
    assert len(others) == 2
    for line in others:
        backend, why = line.split("|")
        assert backend == "torch"
        assert "pip install" in why


def _backend_for_bf16() -> str:
    return "openvino" if find_spec("openvino") and "BF16" in capabilities() else "torch"


@pytest.mark.parametrize(("precision", "backend"), [("bf16", _backend_for_bf16()), ("int8", "openvino")])
def test_a_precision_that_one_backend_has(precision: str, backend: str) -> None:
    choice = choose_backend("cpu", precision)
    assert choice.backend == backend
    assert precision in choice.why


def test_torch_for_a_cuda_device() -> None:
    assert choose_backend("cuda", "auto").backend == "torch"
    assert choose_backend("cuda:1", "fp16").backend == "torch"
    if torch.cuda.is_available():
        assert choose_backend("auto", "auto").backend == "torch"
