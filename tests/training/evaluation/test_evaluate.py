import contextlib
import fcntl
import json
import os
import pty
import re
import struct
import subprocess
import sys
import termios
from pathlib import Path
from typing import Any

import cv2
import pytest
import torch

from pipeline.base.camera_motions import CAMERA_MOTIONS
from pipeline.model.checkpoint import save_checkpoint
from pipeline.model.network import TemporalKVQResNetCBAM
from pipeline.training.evaluation.evaluate import evaluate
from pipeline.training.evaluation.score_dense import DenseData
from tests.support import need_module
from tests.training.evaluation.data_sets import shifted_pair, write_npz_pair
from tests.training.evaluation.test_footage import write_film
from tests.training.evaluation.test_score_video import panned
from tests.training.tiny import ROOT, with_std_times_4


def tiny(path: Path, labels: tuple[str, ...] = CAMERA_MOTIONS) -> Path:
    torch.manual_seed(0)
    model = TemporalKVQResNetCBAM(
        depth=18, num_classes=len(labels), d_model=16, num_heads=2, image_size=32, labels=labels
    )
    save_checkpoint(
        path, model, metadata={"recipe": {"spacing_ms": 50.0, "validation_share": 0.5, "seed": 1}}
    )
    return path


def test_a_model_sees_frames_normalised_with_its_own_mean_and_std(tmp_path: Path) -> None:
    film = write_film(tmp_path / "film.avi", panned([0, 0, 0, 0, 16, 32, 48]))
    usual = tiny(tmp_path / "usual.safetensors")
    wide = with_std_times_4(usual, tmp_path / "wide.safetensors")
    options: dict[str, Any] = {"samples": 18, "device": "cpu"}
    for more in ({"videos": [film]}, {"pictures": None}):
        expected, found = (evaluate(path, **options, **more) for path in (usual, wide))
        assert found | {"checkpoint": str(usual)} == expected


def test_video_to_report_and_picture(tmp_path: Path) -> None:
    need_module("matplotlib", "matplotlib")
    film = write_film(tmp_path / "film.avi", panned([0, 0, 0, 0, 16, 32, 48]))
    report, picture = tmp_path / "report.json", tmp_path / "confusion.png"
    checkpoint = tiny(tmp_path / "a.safetensors")
    found = evaluate(checkpoint, videos=[film], samples=9, device="cpu", report=report, picture=picture)
    assert json.loads(report.read_text()) == found
    assert found["videos"][0]["truth"]["pan_right"] == 2
    assert "pictures" not in found
    assert cv2.imread(str(picture)).shape[1] > 800


def test_a_terminal_shows_what_is_scored_and_the_time_left(tmp_path: Path) -> None:
    checkpoint = tiny(tmp_path / "a.safetensors")
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 100, 0, 0))
    command = ["evaluate", "--checkpoint", str(checkpoint), "--samples", "64", "--device", "cpu"]
    running = subprocess.Popen(
        [sys.executable, "run_stream.py", *command],
        stdout=subprocess.PIPE,
        stderr=theirs,
        cwd=ROOT,
        text=True,
        env=os.environ | {"TERM": "xterm"},
    )
    os.close(theirs)
    seen = b""
    with contextlib.suppress(OSError):  # the end of a terminal
        while part := os.read(ours, 65536):
            seen += part
    printed, _ = running.communicate(timeout=60)
    assert running.returncode == 0
    bars = re.sub(rb"\x1b\[[0-9;?]*[a-zA-Z]", b"", seen).decode()
    for name in ("speed 0.4x", "speed 2x", "controls"):
        assert re.search(rf"{name} .* \d+% (\d:\d\d:\d\d|-:--:--) left", bars), bars
    assert re.search(r" \d+% \d:\d\d:\d\d left", bars)
    assert not re.search(r"\d:\d\d:\d\d left", printed), "only the results go to standard output"
    assert "control: no past" in printed


def test_recorded_clips_of_other_classes(tmp_path: Path) -> None:
    for label, step in (("left", -16), ("right", 16)):
        (tmp_path / "data" / label).mkdir(parents=True)
        for clip in range(2):
            places = [64 + 8 * clip + step * n for n in range(4)]
            write_film(tmp_path / "data" / label / f"{clip}.avi", panned(places), fps=20)
    checkpoint = tiny(tmp_path / "a.safetensors", ("left", "right"))
    printed: list[str] = []
    options = {"data": tmp_path / "data", "device": "cpu", "notify": printed.append}
    metrics = evaluate(checkpoint, **options)["data"]
    assert metrics["windows"] == 4, "two in each of two held-out clips at the spacing of the training"
    assert metrics["clips"] == 2
    assert metrics["labels"] == ["left", "right"]
    assert metrics["streaming"]["max_difference"] < 1e-4
    assert evaluate(checkpoint, all_clips=True, **options)["data"]["windows"] == 8
    assert any("reading 4 clips" in line for line in printed)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"videos": [Path("none.mp4")]}, "no such file"),
        ({"videos": [Path("text.mp4")]}, "text.mp4"),
        ({"report": Path("nowhere/report.json")}, "create it first"),
        ({"report": Path()}, "is a folder"),
        ({"checkpoint": "unknown"}, "no checkpoint 'unknown'"),
        ({"device": "gpu"}, "gpu"),
        ({"data": Path("none")}, "none"),
    ],
)
def test_errors_are_one_line(
    options: dict[str, Any], message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("text.mp4").write_text("not a video")
    with pytest.raises(ValueError, match=message) as error:
        evaluate(**({"checkpoint": tiny(tmp_path / "a.safetensors")} | options))
    assert "\n" not in str(error.value)


def test_a_network_without_a_motion_head_is_refused_in_one_line(tmp_path: Path) -> None:
    write_npz_pair(tmp_path / "shift", *shifted_pair(3, -2))
    with pytest.raises(ValueError, match="no motion head") as error:
        evaluate(
            tiny(tmp_path / "a.safetensors"),
            dense=DenseData(flow=tmp_path),
            device="cpu",
            notify=[].append,
        )
    assert "\n" not in str(error.value)


def test_a_picture_needs_matplotlib(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(ValueError, match=r"pip install .*\[plots\]"):
        evaluate("motion_resnet18", picture=tmp_path / "a.png")


def test_a_split_column_decides_what_is_scored(tmp_path: Path) -> None:
    for number in range(3):
        write_film(tmp_path / f"{number}.avi", panned([64 + 16 * n for n in range(4)]), fps=20)
    rows = [f"{n}.avi,{label},{('train', 'val', 'test')[n]}" for n in range(3) for label in ("left", "right")]
    (tmp_path / "clips.csv").write_text("path,label,split\n" + "\n".join(rows))
    checkpoint = tiny(tmp_path / "a.safetensors", ("left", "right"))
    lines: list[str] = []
    found = evaluate(checkpoint, data=tmp_path / "clips.csv", device="cpu", notify=lines.append)
    assert found["data"]["clips"] == 2
    assert lines[0] == "reading 2 clips of 2 classes ..."


def test_a_split_column_that_says_train_for_all_leaves_the_choice_to_us(tmp_path: Path) -> None:
    rows = []
    for number in range(2):
        write_film(tmp_path / f"{number}.avi", panned([64 + 16 * n for n in range(4)]), fps=20)
        rows += [f"{number}.avi,{label},train" for label in ("left", "right")]
    (tmp_path / "clips.csv").write_text("path,label,split\n" + "\n".join(rows))
    checkpoint = tiny(tmp_path / "a.safetensors", ("left", "right"))
    found = evaluate(checkpoint, data=tmp_path / "clips.csv", device="cpu", notify=[].append)
    assert found["data"]["clips"] == 2, "those that the training would have drawn for validation"


def test_training_and_evaluation_on_rendered_clips_need_neither_pyav_nor_the_wire() -> None:
    absent = ("av", "zmq", "openvino", "onnx", "onnxruntime")
    code = f"import sys; sys.modules.update(dict.fromkeys({absent}))\n"  # importing them fails from now on
    code += "import pipeline.training.run, pipeline.training.evaluation.evaluate; print('imported')"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False, cwd=ROOT)
    assert done.stdout == "imported\n", done.stderr
