"""``train`` and ``evaluate`` on the command line."""

import json
from pathlib import Path

import pytest
import torch

from pipeline.base.errors import UserError
from pipeline.model.checkpoint import save_checkpoint
from pipeline.model.network import TemporalKVQResNetCBAM
from tests.support import need_module
from tests.training.evaluation.data_sets import shifted_pair, write_cdnet, write_npz_pair
from tests.training.evaluation.test_evaluate import tiny
from tests.training.evaluation.test_score_camera import write_pan
from tests.training.tiny import SMALL, command, settings, sliding_clips
from workers.commands.app import app


def refused(*arguments: str) -> str:
    """The one line of a command that must fail; without the seconds that a program of its own takes."""
    with pytest.raises(UserError) as error:
        app(arguments, standalone_mode=False)
    assert "\n" not in str(error.value)
    return str(error.value)


def test_an_error_of_a_training_is_one_line_and_exit_code_2(tmp_path: Path) -> None:
    ended = command("train", "--out", str(tmp_path / "run"), "--set", "batches=3")
    assert ended.returncode == 2, ended.stderr
    assert ended.stderr.startswith("error: ")
    assert (
        "unknown key 'batches' (did you mean batch_size?); all keys are in docs/reference/training_options.md"
        in ended.stderr
    )
    assert ended.stderr.count("\n") == 1


def test_errors_of_a_training_name_what_is_wrong(tmp_path: Path) -> None:
    clips = sliding_clips(tmp_path / "clips", 4)

    def error(*arguments: str) -> str:
        options = [part for text in settings(SMALL) for part in ("--set", text)]
        return refused("train", "--out", str(tmp_path / "run"), *options, *arguments)

    assert "no such folder of images" in error("--pictures", str(tmp_path / "none"))
    assert "nowhere" in error("--data", str(clips / "nowhere"))
    assert "model.depth 34 does not fit motion_resnet18" in error(
        "--data", str(clips), "--set", "model.depth=34"
    )
    assert "nothing to resume: there is no" in error("--data", str(clips), "--resume")
    assert "init none.pth: no such file" in error("--data", str(clips), "--init", "none.pth")
    assert error("--data", str(clips), "--init", "no/model.safetensors") == (
        "no/model.safetensors: no such file; --init takes the name of a shipped checkpoint or a file written "
        "by `kvq-stream train`"
    )
    assert not (tmp_path / "run").exists(), "a run that never began leaves nothing behind"
    (clips / "leftwards").rename(tmp_path / "elsewhere")
    assert "only one class" in error("--data", str(clips))


def test_an_evaluation_prints_tables_and_nothing_but_an_error(tmp_path: Path) -> None:
    checkpoint = str(tiny(tmp_path / "a.safetensors"))
    ended = command("evaluate", "--checkpoint", checkpoint, "--samples", "4", "--device", "cpu")
    assert ended.returncode == 0, ended.stderr
    assert "control: single frame" in ended.stdout
    assert "scoring" not in ended.stdout
    assert ended.stderr.startswith("scoring rendered clips ...\nspeed ")
    assert "controls: 0 of 1\n" in ended.stderr
    ended = command("evaluate", "--checkpoint", checkpoint, "--video", str(tmp_path / "none.mp4"))
    assert ended.returncode == 2
    scoring, error = ended.stderr.splitlines()
    assert scoring == "scoring none.mp4 ..."
    assert "no such file" in error


@pytest.mark.parametrize("arguments", [["evaluate"], ["export", "--out", "step.onnx"]])
def test_a_missing_checkpoint_is_named_with_the_remedy(arguments: list[str]) -> None:
    error = refused(*arguments, "--checkpoint", "no/model.safetensors")
    assert error.startswith("no/model.safetensors: no such file; --checkpoint takes the name of a shipped")


def test_an_export_shows_how_it_goes_beside_what_it_prints(tmp_path: Path) -> None:
    need_module("openvino", "openvino")
    checkpoint, out = tiny(tmp_path / "a.safetensors"), tmp_path / "step.xml"
    ended = command("export", "--checkpoint", str(checkpoint), "--out", str(out))
    assert ended.returncode == 0, ended.stderr
    went = (f"loading {checkpoint}", "exporting", "comparing 50 steps with torch")
    stages = [line for line in ended.stderr.splitlines() if not line.endswith("so far")]
    assert stages == [f"{out}: {part} ..." for part in went]
    assert ended.stdout.startswith("input   frame ")


@pytest.mark.parametrize("option", ["--flow", "--moving", "--still", "--camera"])
def test_motion_fields_is_asked_for_by_folders_and_refused_in_one_line(
    option: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    checkpoint = str(tiny(tmp_path / "a.safetensors"))
    arguments = ("evaluate", "--checkpoint", checkpoint, option, str(tmp_path), "--json", "out.json")
    assert "no motion head" in refused(*arguments)
    assert capsys.readouterr().out == ""


def test_dense_motion_is_scored_beside_the_baselines(tmp_path: Path) -> None:
    need_module("av", "av")
    torch.manual_seed(0)
    model = TemporalKVQResNetCBAM(
        depth=18, num_classes=2, d_model=16, num_heads=2, image_size=32, motion=True
    )
    save_checkpoint(tmp_path / "a.safetensors", model)
    write_npz_pair(tmp_path / "flow" / "shift", *shifted_pair(3, -2))
    write_cdnet(tmp_path / "moving" / "street", frames=6)
    write_pan(tmp_path / "camera" / "pan", frames=4)
    folders = [part for name in ("flow", "moving", "camera") for part in (f"--{name}", str(tmp_path / name))]
    still = ["--still", str(tmp_path / "flow"), "--still-frames", "2"]
    written = tmp_path / "out.json"
    ended = command(
        "evaluate", "--checkpoint", str(tmp_path / "a.safetensors"), *folders, *still, "--json", str(written)
    )
    assert ended.returncode == 0, ended.stderr
    found = json.loads(written.read_text())
    assert found["flow"]["shift"]["dis_epe"] < 0.5 < found["flow"]["shift"]["epe"]
    assert {"f", "precision", "recall", "mog2_f", "j"} < found["moving"]["street"].keys()
    assert found["still"]["codec"]["frames"] == 4
    assert found["camera"]["pan"]["dis_fit_epe"] < 0.2
    for heading in ("shift", "street", "codec", "pan", "least certain"):
        assert heading in ended.stdout
    assert max(map(len, ended.stdout.splitlines())) <= 80
