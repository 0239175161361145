"""The way of docs/fine_tuning.md, shortened: clips to a checkpoint that the pipeline runs."""

import json
from pathlib import Path

import pytest
import torch

from pipeline.model.checkpoint import load_checkpoint
from pipeline.runtime.open_runtime import open_runtime
from pipeline.runtime.options import Options
from pipeline.training.example.door_clips import LABELS, main
from pipeline.training.train_command import train


def test_from_clips_to_a_checkpoint_that_runs(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([str(tmp_path / "doors"), "--clips", "2"]) == 0
    short = ("steps=2", "batch_size=2", "size_px=64", "windows_per_clip=1", "validate_every_steps=2")
    summary = train(None, short, data=tmp_path / "doors", out=tmp_path / "out")
    assert "clips to train on: closing 1" in capsys.readouterr().out
    assert 0 <= summary["held_out"]["accuracy"] <= 1
    assert json.loads((tmp_path / "out" / "summary.json").read_text())["steps"] == 2
    path = tmp_path / "out" / "model.safetensors"
    model = load_checkpoint(path)
    assert model.labels == LABELS
    shipped = load_checkpoint("motion_resnet18").state_dict()["backbones.0.conv1.weight"]
    torch.testing.assert_close(model.state_dict()["backbones.0.conv1.weight"], shipped, atol=0.01, rtol=0)
    runtime = open_runtime(path, Options(device="cpu"))
    assert runtime.labels == LABELS
