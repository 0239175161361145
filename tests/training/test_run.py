"""A whole run: what it leaves, and whether it learns."""

import json
import re
import shutil
from pathlib import Path

import pytest
from msgspec.structs import replace

from pipeline.base.camera_motions import CAMERA_MOTIONS
from pipeline.base.packages import EXTRAS
from pipeline.model.checkpoint import load_checkpoint
from pipeline.runtime.open_runtime import open_runtime
from pipeline.runtime.runtime_options import Options
from pipeline.training.evaluation.evaluate import evaluate
from pipeline.training.outcome import cut_short
from pipeline.training.run import fit
from pipeline.training.trainer import Trainer
from pipeline.training.training_options import TrainingOptions, load_options
from tests.training.test_loop import curve
from tests.training.tiny import SMALL, WITH_SCENES, end_point_error, settings, sliding_clips, tiny_options


@pytest.fixture
def tiny(tmp_path: Path) -> TrainingOptions:
    return tiny_options(tmp_path / "run")


def test_a_run_leaves_a_checkpoint_that_knows_how_it_was_made(tiny: TrainingOptions) -> None:
    summary = fit(tiny)
    out = Path(tiny.out)
    lines = [json.loads(line) for line in (out / "metrics.jsonl").read_text().splitlines()]
    assert [line["step"] for line in lines] == [2, 4, 4]
    model = load_checkpoint(out / "model.safetensors")
    assert tuple(model.labels) == CAMERA_MOTIONS
    assert model.metadata["recipe"]["batch_size"] == 6
    assert model.metadata["held_out"]["speeds"].keys() == {"0.4", "1", "2"}
    assert json.loads((out / "summary.json").read_text()) == summary
    assert (out / "model.safetensors").stat().st_size <= 25_000_000
    assert model.metadata["temperature"] == summary["temperature"] > 0
    assert model.preprocessing.size == 32


def test_a_run_with_scenes_writes_what_dense_motion_learns(tmp_path: Path) -> None:
    fit(tiny_options(tmp_path, steps=2, log_every_steps=1, **WITH_SCENES))
    lines = [line for line in curve(tmp_path) if line["split"] == "train"]
    assert [line["step"] for line in lines] == [1, 2]
    for line in lines:
        assert line["dense_loss"] > 0
        assert line["epe_px"] > 0
        assert 0 <= line["mask_iou"] <= 1
    model = load_checkpoint(tmp_path / "model.safetensors")
    assert model.architecture.motion
    assert model.metadata["recipe"]["scene_batch_size"] == 2


def test_a_new_run_does_not_touch_an_earlier_one(tiny: TrainingOptions) -> None:
    Path(tiny.out).mkdir()
    state = Path(tiny.out) / "last.pt"
    state.write_bytes(b"hours of work")
    with pytest.raises(ValueError, match="contains an earlier run: continue it with --resume"):
        fit(tiny)
    assert [path.name for path in Path(tiny.out).iterdir()] == ["last.pt"]
    assert state.read_bytes() == b"hours of work"


def test_lines_after_the_point_of_return_are_written_anew(tmp_path: Path) -> None:
    options = tiny_options(tmp_path, steps=2)
    fit(options)
    first = curve(tmp_path)
    with (tmp_path / "metrics.jsonl").open("a") as file:
        file.write('{"step": 3, "loss": 9.0}\n{"step": 4, "lo')
    fit(replace(options, steps=4, resume=True))
    assert [line["step"] for line in curve(tmp_path)] == [2, 2, 4, 4]
    assert curve(tmp_path)[:2] == first


@pytest.mark.slow
def test_a_folder_of_clips_becomes_a_checkpoint(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    clips, out = sliding_clips(tmp_path / "clips", 4), tmp_path / "run"
    summary = fit(load_options(None, settings(SMALL), {"out": str(out), "data": str(clips)}))
    printed = capsys.readouterr().out
    assert "from the weights of motion_resnet18, with a new classifier; 6 steps of 4 clips" in printed
    assert "the backbone at 0.1 of that, batch norm frozen" in printed
    assert "dense motion is kept close to its initial state" in printed
    assert f"inference.checkpoint={out / 'model.safetensors'} --set history.spacing_ms=100" in printed
    held_out = summary["held_out"]
    assert held_out["labels"] == ["leftwards", "rightwards"]
    assert [sum(row) for row in held_out["confusion"]] == [held_out["windows"] / 2] * 2 != [0, 0]
    assert held_out["clips"] == 2
    assert "the same clips also selected the weights (the best of 2 validations)" in summary["verdict"]
    assert held_out["controls"].keys() == {"single_frame", "shuffled"}
    model = load_checkpoint(out / "model.safetensors")
    assert model.labels == ("leftwards", "rightwards")
    assert (model.architecture.d_model, model.preprocessing.size) == (256, 64)
    assert model.metadata["recipe"]["spacing_ms"] == 100
    before, start = model.metadata["runs_before"], load_checkpoint("motion_resnet18").metadata
    assert before[:-1] == start["runs_before"]
    assert before[-1]["recipe"] == start["recipe"]
    assert before[-1]["steps"] == start["steps"]
    assert json.loads((out / "summary.json").read_text()) == summary
    kept = model.metadata["clips"]
    assert (len(kept["train"]), len(kept["held_out"])) == (6, 2)

    def asked() -> tuple[int, str]:
        lines: list[str] = []
        metrics = evaluate(out / "model.safetensors", data=clips, device="cpu", notify=lines.append)
        return metrics["data"]["windows"], "\n".join(lines)

    before, _ = asked()
    assert before == held_out["windows"]
    for label in ("leftwards", "rightwards"):
        for number in range(4, 9):
            shutil.copytree(clips / label / str(number % 4), clips / label / str(number))
    after, lines = asked()
    assert after == before, "another share of a larger folder must not bring in clips that were trained on"
    assert "skipped 10 clips added since training" in lines


@pytest.mark.slow
def test_fine_tuning_beats_guessing_and_its_checkpoint_runs(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    clips, out = sliding_clips(tmp_path / "clips", 8), tmp_path / "run"
    more = {
        "steps": 12,
        "batch_size": 8,
        "validate_every_steps": 6,
        "validation_share": 0.5,
        "spacing_ms": 0,
    }
    more |= {"model.image_size": 96, "augment": False}
    summary = fit(load_options(None, settings(SMALL | more), {"out": str(out), "data": str(clips)}))
    printed = capsys.readouterr().out.splitlines()
    held_out = summary["held_out"]
    assert held_out["accuracy"] > 0.8, held_out
    # of two classes; a network that has just begun to learn also answers by what moves in any order
    assert held_out["controls"]["shuffled"] <= 0.5, "frames in another order must be no better than guessing"
    assert held_out["controls"]["single_frame"] < 0.8, "the clips must not give their class away"
    assert summary["learned"] is True
    assert printed[-1] == summary["verdict"]
    assert printed[-1].startswith(f"learned: held-out accuracy {held_out['accuracy']:.2f} against 0.50")
    runtime = open_runtime(out / "model.safetensors", Options(device="cpu"))
    assert runtime.labels == ("leftwards", "rightwards")
    shipped = load_checkpoint("motion_resnet18")
    if shipped.motion is not None:
        tuned = load_checkpoint(out / "model.safetensors")
        assert end_point_error(tuned) == pytest.approx(end_point_error(shipped), rel=0.05)


def test_a_run_that_its_time_limit_stopped_says_so_and_where_to_read_on(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    clips, out = sliding_clips(tmp_path / "clips", 4), tmp_path / "run"
    fit(load_options(None, settings(SMALL | {"minutes": 1e-6}), {"out": str(out), "data": str(clips)}))
    captured = capsys.readouterr()
    printed = captured.out.splitlines()
    assert any(line.endswith("6 steps of 4 clips, at most 1e-06 min, fp32 on cpu") for line in printed)
    assert "stopped by the time limit after 1 of 6 steps" in printed
    (announced,) = (line for line in printed if line.startswith("evaluating the weights of step 1"))
    assert re.fullmatch(
        "evaluating the weights of step 1: every window of 2 held-out clips as it is, with the newest frame "
        r"only, and shuffled; (less than|about) \d+ min, not counted in the time limit \.\.\.",
        announced,
    )
    assert "calibration batches: 0 of 1\n" in captured.err
    assert "evaluation batches: 0 of 1\n" in captured.err
    start = (
        "did not learn: stopped by the time limit after 1 of 6 steps: allow more minutes; held-out accuracy"
    )
    assert printed[-1].startswith(start)
    (hint,) = re.findall(r'see "(.*)" in (docs/.*\.md)$', printed[-1])
    assert f"\n### {hint[0]}\n" in (Path(__file__).parents[2] / hint[1]).read_text()


def test_a_missing_plot_package_is_reported_at_the_start(
    tiny: TrainingOptions, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(EXTRAS, "plots", ("no_such_package",))
    monkeypatch.setattr("pipeline.base.packages._command", lambda _: "pip install 'kvq-stream[plots]'")
    fit(tiny)
    printed = capsys.readouterr().out.splitlines()
    wanted = "curves.png will not be drawn: no_such_package is not installed: pip install 'kvq-stream[plots]'"
    assert [number for number, line in enumerate(printed) if "curves" in line] == [printed.index(wanted)]
    assert printed.index(wanted) < 5


def test_only_a_time_limit_before_the_last_step_cuts_a_run_short(tiny: TrainingOptions) -> None:
    run = Trainer(replace(tiny, minutes=2.0, steps=60))
    run.step, run.elapsed_s = 4, 119.0
    assert cut_short(run) == ""
    run.elapsed_s = 120.0
    assert cut_short(run) == "stopped by the time limit after 4 of 60 steps"
    run.step = 60
    assert cut_short(run) == ""
    run.step, run.options = 4, replace(tiny, minutes=2.0, steps=0, warmup_steps=10)
    assert cut_short(run) == "stopped by the time limit after 4 steps, during the warm-up"
    run.step = 11
    assert cut_short(run) == ""


def test_the_last_line_of_a_run_that_learned_nothing_is_that_verdict(
    tiny: TrainingOptions, capsys: pytest.CaptureFixture[str]
) -> None:
    summary = fit(replace(tiny, steps=1, evaluate_samples=40))
    assert summary["learned"] is False
    assert capsys.readouterr().out.splitlines()[-1].startswith("did not learn: held-out accuracy 0.")
