"""One function knows what a device's name means, for training, evaluation and the pipeline."""

import pytest
import torch

from pipeline.model.device import DeviceError, pick_device


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
