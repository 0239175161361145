import json
import subprocess
import sys
from pathlib import Path

import cv2
import pytest
import torch

from pipeline.model.checkpoint import save_checkpoint
from pipeline.model.network import TemporalKVQResNetCBAM
from pipeline.training.evaluation.confusion_plot import draw_confusions, need_matplotlib
from pipeline.training.evaluation.evaluate_command import evaluate_command, main
from pipeline.training.rendered.renderer import LABELS
from tests.support import need_module
from tests.training.evaluation.test_footage import write_film
from tests.training.evaluation.test_real_video import panned


def tiny(path: Path, labels: tuple[str, ...] = LABELS) -> Path:
    torch.manual_seed(0)
    model = TemporalKVQResNetCBAM(
        depth=18, num_classes=len(labels), d_model=16, num_heads=2, image_size=32, labels=labels
    )
    save_checkpoint(
        path, model, metadata={"recipe": {"spacing_ms": 50.0, "validation_share": 0.5, "seed": 1}}
    )
    return path


def test_video_to_table_report_and_picture(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    need_module("matplotlib", "matplotlib")
    film = write_film(tmp_path / "film.avi", panned([0, 0, 0, 0, 16, 32, 48]))
    report, picture = tmp_path / "report.json", tmp_path / "confusion.png"
    arguments = [
        "--checkpoint",
        str(tiny(tmp_path / "a.safetensors")),
        "--video",
        str(film),
        "--samples",
        "9",
    ]
    assert main([*arguments, "--device", "cpu", "--report", str(report), "--picture", str(picture)]) == 0
    shown = capsys.readouterr().out
    assert "film.avi" in shown
    assert "virtual camera at 0.4x" in shown
    figures = json.loads(report.read_text())
    assert figures["videos"][0]["truth"]["pan_right"] == 2
    assert "pictures" not in figures
    assert cv2.imread(str(picture)).shape[1] > 800


def test_runs_on_a_machine_with_torch_and_opencv_only(tmp_path: Path) -> None:
    film = write_film(tmp_path / "film.avi", panned([0, 0, 0, 0]))
    bare = (
        "import sys\n"
        "for name in ('av', 'msgspec', 'zmq', 'typer', 'matplotlib', 'starlette', 'psutil'):\n"
        "    sys.modules[name] = None\n"
        "from pipeline.training.evaluation.evaluate_command import main\n"
        "sys.exit(main(sys.argv[1:]))\n"
    )
    given = ("--checkpoint", str(tiny(tmp_path / "a.safetensors")), "--video", str(film), "--samples", "2")
    command = [sys.executable, "-c", bare, *given, "--device", "cpu"]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=100, check=False)
    assert ended.returncode == 0, ended.stderr
    assert "film.avi" in ended.stdout


def test_recorded_clips_of_other_classes(tmp_path: Path) -> None:
    for label, step in (("left", -16), ("right", 16)):
        (tmp_path / "data" / label).mkdir(parents=True)
        for clip in range(2):
            places = [64 + 8 * clip + step * n for n in range(4)]
            write_film(tmp_path / "data" / label / f"{clip}.avi", panned(places), fps=20)
    checkpoint = tiny(tmp_path / "a.safetensors", ("left", "right"))
    said: list[str] = []
    options = {"data": tmp_path / "data", "device": "cpu", "say": said.append}
    figures = evaluate_command(checkpoint, **options)["data"]
    assert figures["windows"] == 4, "two in each of two held-out clips at the spacing of the training"
    assert figures["clips"] == 2
    assert figures["labels"] == ["left", "right"]
    assert figures["streaming"]["max_difference"] < 1e-4
    assert evaluate_command(checkpoint, all_clips=True, **options)["data"]["windows"] == 8
    assert any("reading 4 clips" in line for line in said)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--video", "none.mp4"], "no such file"),
        (["--video", "text.mp4"], "not a video"),
        (["--samples", "0"], "at least 1"),
        (["--report", "nowhere/report.json"], "make it first"),
        (["--report", "."], "is a folder"),
        (["--checkpoint", "unknown"], "no checkpoint 'unknown'"),
        (["--device", "gpu"], "gpu"),
        (["--data", "none"], "none"),
    ],
)
def test_mistakes_are_one_line(
    arguments: list[str],
    message: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("text.mp4").write_text("not a video")
    given = ["--checkpoint", str(tiny(tmp_path / "a.safetensors"))] if "--checkpoint" not in arguments else []
    assert main([*given, *arguments]) == 2
    error = capsys.readouterr().err
    assert message in error
    assert error.count("\n") == 1


def test_says_what_a_picture_needs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    assert main(["--picture", str(tmp_path / "a.png")]) == 2
    assert "pip install matplotlib" in capsys.readouterr().err


def test_picture_of_several_matrices(tmp_path: Path) -> None:
    need_module("matplotlib", "matplotlib")
    matrices = {f"run {n}": [[3, n], [0, 0]] for n in range(4)}
    draw_confusions(matrices, ["open", "shut"], tmp_path / "a.png")
    picture = cv2.imread(str(tmp_path / "a.png"))
    assert (picture < 128).any()
    with pytest.raises(ValueError, match="xyz"):
        draw_confusions(matrices, ["open", "shut"], tmp_path / "a.xyz")
    for name in ("a.xyz", "a"):
        with pytest.raises(ValueError, match="must end in"):
            need_matplotlib(tmp_path / name)
