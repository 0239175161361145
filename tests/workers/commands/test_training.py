"""``train`` and ``evaluate`` on the command line."""

from pathlib import Path

import pytest

from tests.training.evaluation.test_evaluate import tiny
from tests.training.tiny import SMALL, command, settings, sliding_clips


@pytest.mark.slow
def test_errors_of_a_training_are_one_line_and_exit_code_2(tmp_path: Path) -> None:
    clips = sliding_clips(tmp_path / "clips", 4)

    def error(*arguments: str) -> str:
        options = [part for text in settings(SMALL) for part in ("--set", text)]
        ended = command("train", "--out", str(tmp_path / "run"), *options, *arguments)
        assert ended.returncode == 2, ended.stderr
        assert ended.stderr.startswith("error: ")
        assert ended.stderr.count("\n") == 1
        return ended.stderr

    assert "unknown key 'batches'; all keys are in configs/train_motion.toml" in error("--set", "batches=3")
    assert "no such folder of pictures" in error("--pictures", str(tmp_path / "none"))
    assert "nowhere" in error("--data", str(clips / "nowhere"))
    assert "model.depth 34 does not fit motion_resnet18" in error(
        "--data", str(clips), "--set", "model.depth=34"
    )
    assert "nothing to resume: there is no" in error("--data", str(clips), "--resume")
    assert "init none.pth: no such file" in error("--data", str(clips), "--init", "none.pth")
    assert not (tmp_path / "run").exists(), "a run that never began leaves nothing behind"
    (clips / "leftwards").rename(tmp_path / "elsewhere")
    assert "one class only" in error("--data", str(clips))


def test_an_evaluation_prints_tables_and_nothing_but_an_error(tmp_path: Path) -> None:
    checkpoint = str(tiny(tmp_path / "a.safetensors"))
    ended = command("evaluate", "--checkpoint", checkpoint, "--samples", "4", "--device", "cpu")
    assert ended.returncode == 0, ended.stderr
    assert "control: single frame" in ended.stdout
    assert ended.stderr == ""
    ended = command("evaluate", "--checkpoint", checkpoint, "--video", str(tmp_path / "none.mp4"))
    assert ended.returncode == 2
    assert "no such file" in ended.stderr
    assert ended.stderr.count("\n") == 1


def test_motion_fields_is_asked_for_by_folders_and_refused_in_one_line(tmp_path: Path) -> None:
    checkpoint = str(tiny(tmp_path / "a.safetensors"))
    for option in ("--flow", "--moving", "--still", "--camera"):
        ended = command("evaluate", "--checkpoint", checkpoint, option, str(tmp_path), "--json", "out.json")
        assert ended.returncode == 2
        assert ended.stdout == ""
        assert ended.stderr.startswith("error: ")
        assert "no motion head" in ended.stderr
        assert ended.stderr.count("\n") == 1
