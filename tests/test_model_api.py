"""docs/model_api.md and the model's section of the README: the examples run, the tables are complete."""

import re
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import torch

from pipeline.model.checkpoint import load_checkpoint
from pipeline.model.network import StepOutput
from pipeline.runtime.pixels import Preprocessor
from tests.video.clips import write_video

ROOT = Path(__file__).parents[1]
PAGE = (ROOT / "docs" / "model_api.md").read_text("utf-8")


def run(text: str) -> dict[str, Any]:
    """Runs the only Python block of a text; returns its names."""
    (code,) = re.findall(r"```python\n(.*?)```", text, re.DOTALL)
    names: dict[str, Any] = {}
    exec(compile(code, "example", "exec"), names)
    return names


def first_cells(heading: str) -> list[str]:
    part = PAGE.partition(f"\n## {heading}\n")[2].partition("\n## ")[0]
    cells = re.findall(r"^\| (`[^|]+`) \|", part, re.MULTILINE)
    return [name for cell in cells for name in re.findall(r"`(\w+)`", cell)]


def test_the_example_of_the_page(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    write_video(tmp_path / "clip.mp4", frames=12, width=320, height=240)
    names = run(PAGE)
    shown = capsys.readouterr().out
    label, *where, of_step, of_motion = shown.splitlines()
    assert label.split()[0] in names["model"].labels
    shares = [
        re.fullmatch(r"t-[21]: (\d\.\d\d) of the attention, most at row \d, column \d", x) for x in where
    ]
    assert sum(float(share[1]) for share in shares if share) == pytest.approx(1.0, abs=0.011)
    assert of_step == "tensor([2]) torch.Size([1, 9]) torch.Size([1, 36, 72])"
    assert of_motion == "torch.Size([1, 2, 2, 48, 48]) torch.Size([1, 48, 48])"
    assert torch.allclose(names["step"].logits, names["logits"], atol=1e-3)
    assert set(first_cells("Output of a call")) == set(names["kqv_info"])
    assert tuple(first_cells("Output of a step")) == StepOutput._fields


def test_the_example_of_the_readme(capsys: pytest.CaptureFixture[str]) -> None:
    section = (ROOT / "README.md").read_text("utf-8").partition("## The model on its own")[2]
    names = run(section.partition("\n## ")[0])
    assert capsys.readouterr().out.startswith("torch.Size([1, 1000]) torch.Size([1, 49, 98])\ntensor([2]) ")
    assert torch.allclose(names["step"].logits, names["output"], atol=1e-3)


def test_preprocessing_is_what_the_page_says() -> None:
    about = load_checkpoint("motion_resnet18").preprocessing
    image = np.random.default_rng(0).integers(0, 256, (480, 640, 3), np.uint8)
    rows, columns = about.picture_size(480, 640)
    assert (rows, columns) == (192, 192)
    small = cv2.cvtColor(cv2.resize(image, (columns, rows), interpolation=cv2.INTER_AREA), cv2.COLOR_BGR2RGB)
    wanted = (small / 255 - about.mean) / about.std
    found = Preprocessor(about, torch.device("cpu"), torch.float32)([image])[0]
    np.testing.assert_allclose(found.permute(1, 2, 0), wanted, atol=1e-5)
