"""``train --data``: from a folder of clips to a checkpoint that knows its classes."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest

from pipeline.model.checkpoint import load_checkpoint
from pipeline.training.evaluation.evaluate_command import evaluate_command
from pipeline.training.option_file import load_options
from pipeline.training.train_command import main, train
from pipeline.training.trainer import Fitting

SMALL = [
    "device=cpu",
    "size_px=64",
    "batch_size=4",
    "steps=6",
    "validate_every_steps=3",
    "windows_per_clip=2",
]


@pytest.fixture
def clips(tmp_path: Path) -> Path:
    """A bar that moves left or right over noise, four clips each."""
    for label, direction in (("leftwards", -1), ("rightwards", 1)):
        for number in range(4):
            folder = tmp_path / "clips" / label / str(number)
            folder.mkdir(parents=True)
            noise = np.random.default_rng(number).integers(0, 255, (8, 8, 3), dtype=np.uint8)
            for time in range(6):
                picture = cv2.resize(noise, (64, 64))
                x = 24 + direction * 5 * (time - 3)
                cv2.rectangle(picture, (x, 10), (x + 12, 50), (30, 30, 220), -1)
                cv2.imwrite(str(folder / f"{time:03d}.png"), picture)
    return tmp_path / "clips"


def _set(*more: str) -> list[str]:
    return [part for setting in (*SMALL, *more) for part in ("--set", setting)]


@pytest.mark.slow
def test_a_folder_of_clips_becomes_a_checkpoint(
    clips: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "run"
    summary = train(None, SMALL, out=out, data=clips)
    said = capsys.readouterr().out
    assert "from the weights of motion_resnet18, with a new classifier; 6 steps of 4 clips" in said
    assert "the backbone at 0.1 of that, batch-norm fixed" in said
    assert f"inference.checkpoint={out / 'model.safetensors'} --set history.spacing_ms=100" in said
    held_out = summary["held_out"]
    assert held_out["labels"] == ["leftwards", "rightwards"]
    assert [sum(row) for row in held_out["confusion"]] == [held_out["windows"] / 2] * 2 != [0, 0]
    assert held_out["clips"] == 2
    assert held_out["controls"].keys() == {"single_frame", "shuffled"}
    model = load_checkpoint(out / "model.safetensors")
    assert model.labels == ("leftwards", "rightwards")
    assert (model.architecture.d_model, model.preprocessing.size) == (256, 64)
    assert model.metadata["recipe"]["spacing_ms"] == 100
    assert json.loads((out / "summary.json").read_text()) == summary
    kept = model.metadata["clips"]
    assert (len(kept["train"]), len(kept["held_out"])) == (6, 2)

    def asked() -> tuple[int, str]:
        lines: list[str] = []
        figures = evaluate_command(out / "model.safetensors", data=clips, device="cpu", say=lines.append)
        return figures["data"]["windows"], "\n".join(lines)

    before, _ = asked()
    assert before == held_out["windows"]
    for label in ("leftwards", "rightwards"):
        for number in range(4, 9):
            shutil.copytree(clips / label / str(number % 4), clips / label / str(number))
    after, lines = asked()
    assert after == before, "another share of a larger folder must not bring in clips that were trained on"
    assert "10 clips have come since the training and are left out" in lines


def test_mistakes_are_one_line_and_exit_code_2(
    clips: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    def error(*arguments: str) -> str:
        assert main(["--out", str(tmp_path / "run"), *arguments, *_set()]) == 2
        line = capsys.readouterr().err
        assert line.count("\n") == 1
        return line

    assert "nowhere" in error("--data", str(clips / "nowhere"))
    assert "depth 34 does not fit motion_resnet18" in error("--data", str(clips), "--set", "depth=34")
    assert "nothing to resume: there is no" in error("--data", str(clips), "--resume")
    assert "init none.pth: no such file" in error("--data", str(clips), "--init", "none.pth")
    (clips / "leftwards").rename(tmp_path / "elsewhere")
    assert "class" in error("--data", str(clips))


def test_a_run_does_not_go_on_with_other_clips(clips: Path, tmp_path: Path) -> None:
    run = Fitting(load_options(None, SMALL, {"data": str(clips), "out": str(tmp_path)}))
    run.save()
    Fitting(run.options).resume()
    shutil.copytree(clips / "leftwards" / "0", clips / "leftwards" / "4")
    with pytest.raises(ValueError, match="clips have come or gone since"):
        Fitting(run.options).resume()


def test_the_command_says_mistakes_in_one_line(tmp_path: Path) -> None:
    command = ["run_stream.py", "train", "--data", str(tmp_path / "nowhere"), "--out", str(tmp_path / "run")]
    ended = subprocess.run(
        [sys.executable, *command], capture_output=True, text=True, check=False, cwd=Path(__file__).parents[2]
    )
    assert ended.returncode == 2
    assert ended.stderr.startswith("error: ")
    assert "nowhere" in ended.stderr
    assert ended.stderr.count("\n") == 1
