"""One function knows what a device's name means, for training, evaluation and the pipeline."""

import _ctypes
import ctypes
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from pipeline.model.device import DeviceError, pick_device

ROOT = Path(__file__).parents[2]
COUNT = (
    "import sys; from pipeline.model.device import cuda_count; print(cuda_count(), 'torch' in sys.modules)"
)


@pytest.mark.parametrize("name", ["quantum", "meta", "cuda:x", ""])
def test_an_unknown_name_lists_the_right_ones(name: str) -> None:
    with pytest.raises(DeviceError, match="choose auto, cpu, cuda or cuda:N"):
        pick_device(name)


def test_auto_is_what_torch_has() -> None:
    assert pick_device("auto").type == ("cuda" if torch.cuda.is_available() else "cpu")
    assert pick_device("cpu") == torch.device("cpu")


def test_a_gpu_that_is_not_there_is_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(DeviceError, match=r"torch sees \S+ CUDA device\(s\) here; choose auto or cpu"):
        pick_device("cuda:99")
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    assert pick_device("cuda:1").index == 1
    with pytest.raises(DeviceError, match="torch sees 2 CUDA"):
        pick_device("cuda:2")


def count(library_path: str) -> str:
    """How many devices a fresh process finds, and whether it has imported torch for that."""
    command, environment = [sys.executable, "-c", COUNT], os.environ | {"LD_LIBRARY_PATH": library_path}
    ended = subprocess.run(command, cwd=ROOT, env=environment, check=True, capture_output=True, text=True)
    return ended.stdout.strip()


@pytest.mark.skipif(torch.cuda.is_available(), reason="this machine has a GPU")
@pytest.mark.skipif(sys.platform != "linux", reason="drivers are looked for on Linux alone")
def test_without_a_driver_torch_is_not_asked_and_with_one_it_is(tmp_path: Path) -> None:
    try:
        ctypes.CDLL("libcuda.so.1")
    except OSError:
        assert count("") == "0 False"
    shutil.copy(_ctypes.__file__, tmp_path / "libcuda.so.1")  # any library: torch finds no device in it
    assert count(str(tmp_path)) == "0 True"
