"""A run that is broken off goes on as if nothing had happened."""

import io
import json
import math
import re
import signal
import sys
import time
from pathlib import Path
from typing import Any

import pytest
import torch
from msgspec.structs import replace
from rich.console import Console
from safetensors.torch import load_file

from pipeline.training.loop import _mean_of_pending, train
from pipeline.training.progress import Reporter
from pipeline.training.run import fit
from pipeline.training.trainer import Trainer
from tests.rigs.terminal import Terminal
from tests.training.tiny import TINY, settings, start_training, tiny_options, wait_for
from tests.workers.program import until

TIMES = ("elapsed_s", "clips_per_s")
RUN: dict[str, Any] = {"steps": 5, "log_every_steps": 2, "save_every_steps": 1, "validate_every_steps": 3}


def curve(out: Path) -> list[dict[str, Any]]:
    """The lines of metrics, without what depends on the speed of the machine."""
    lines = [json.loads(line) for line in (out / "metrics.jsonl").read_text().splitlines()]
    return [{key: value for key, value in line.items() if key not in TIMES} for line in lines]


def test_equal_validations_stop_a_run_and_are_counted(tmp_path: Path) -> None:
    still = {"learning_rate": 1e-12, "validate_every_steps": 1, "patience": 2}
    run, screen = Trainer(tiny_options(tmp_path, steps=9, **still)), io.StringIO()
    with Reporter(tmp_path / "metrics.jsonl", Console(file=screen, width=200)) as reporter:
        train(run, reporter)
    assert (run.step, run.best_step) == (3, 3), "of equal weights the later ones are kept"
    last = screen.getvalue().splitlines()[-1]
    assert last == "no improvement in 2 validations in a row: stopped at step 3"


@pytest.mark.slow
@pytest.mark.timeout(400)
@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_saves_and_the_run_goes_on_from_there(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], number: int, code: int
) -> None:
    endless = {"steps": 100_000, "log_every_steps": 1, "save_every_steps": 100_000}
    metrics = tmp_path / "metrics.jsonl"
    running = start_training(tmp_path, **RUN | endless)
    try:
        wait_for(lambda: metrics.exists() and metrics.read_text().count("\n") > 1, running)
        running.send_signal(number)
        printed, errors = running.communicate(timeout=60)
    finally:
        running.kill()
    assert running.returncode == code, errors
    assert errors == ""
    assert (
        f"saved {tmp_path / 'last.pt'}: continue with the same command and --resume"
        in printed.splitlines()[-1]
    )
    step = torch.load(tmp_path / "last.pt", weights_only=True)["step"]
    assert step >= 2
    fit(replace(tiny_options(tmp_path, **RUN | endless | {"steps": step + 1}), resume=True))
    assert f"from step {step} of the previous run" in capsys.readouterr().out
    assert [line["step"] for line in curve(tmp_path) if line["split"] == "train"] == [*range(1, step + 2)]


@pytest.mark.slow
def test_the_panel_shows_progress_before_the_first_metrics_and_ctrl_c_leaves_it_whole(place: Path) -> None:
    out, late = place / "run", {"steps": 40, "log_every_steps": 10_000}
    command = [sys.executable, "run_stream.py", "train", "--out", str(out)]
    command += [part for text in settings(TINY | late) for part in ("--set", text)]
    with Terminal(place, 80, 24) as terminal:
        terminal.start(command)
        until(lambda: re.search(r" [1-9]\d*% ", terminal.screen()), "progress", 100, terminal.screen)
        assert "waiting for the first metrics" in terminal.screen()
        terminal.press("C-c")
        until(lambda: "exit=130" in terminal.screen(), "the end", 60, terminal.screen)
        seen = terminal.everything()
    assert [seen.count(corner) for corner in "╭╮╰╯"] == [1, 1, 1, 1], seen
    assert "^C" not in seen


@pytest.mark.slow
def test_a_second_ctrl_c_leaves_at_once(tmp_path: Path) -> None:
    running = start_training(tmp_path, program=("-m", "tests.training.stuck_step"))
    status = Path(f"/proc/{running.pid}/status")

    def handles() -> bool:
        (caught,) = (line.split()[1] for line in status.read_text().splitlines() if line.startswith("SigCgt"))
        return bool(int(caught, 16) & 1 << signal.SIGINT - 1)

    try:
        wait_for((tmp_path / "stuck").exists, running)
        assert handles()
        running.send_signal(signal.SIGINT)
        wait_for(lambda: not handles(), running)
        running.send_signal(signal.SIGINT)
        assert running.wait(timeout=60) == -signal.SIGINT
    finally:
        running.kill()
        running.communicate()


@pytest.mark.slow
@pytest.mark.timeout(400)
def test_a_run_killed_while_it_saves_ends_as_the_unbroken_one(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    whole, broken = tmp_path / "whole", tmp_path / "broken"
    killed = start_training(broken, **RUN)
    try:
        deadline = time.monotonic() + 120
        while not ((broken / "last.pt").exists() and any(broken.glob(".last.pt.*.partial"))):
            assert killed.poll() is None, killed.communicate()
            assert time.monotonic() < deadline
            time.sleep(0.001)
    finally:
        killed.kill()
    killed.communicate()
    fit(tiny_options(whole, **RUN))
    fit(replace(tiny_options(broken, **RUN), resume=True))
    assert "of the previous run" in capsys.readouterr().out
    assert [line["step"] for line in curve(whole)] == [2, 3, 4, 5]
    for mine, wanted in zip(curve(broken), curve(whole), strict=True):
        assert mine == pytest.approx(wanted, abs=2e-4)
    weights, others = (load_file(out / "model.safetensors") for out in (broken, whole))
    for name, value in weights.items():
        torch.testing.assert_close(value, others[name], rtol=1e-3, atol=1e-4, msg=name)


def test_fp16_steps_that_overflowed_in_either_loss_are_left_out_of_the_metrics(tmp_path: Path) -> None:
    run = Trainer(tiny_options(tmp_path, precision="fp16"))
    rows = [[1.0, 0.5, 2.0, 3.0, 0.1], [1.0, 0.5, math.inf, 3.0, 0.1], [math.nan, 0.5, 2.0, 3.0, 0.1]]
    run.pending = [torch.tensor(row) for row in rows]
    assert _mean_of_pending(run) == pytest.approx(rows[0])
    run.precision, run.pending = "fp32", [torch.tensor(row) for row in rows]
    with pytest.raises(FloatingPointError, match="lower learning_rate"):
        _mean_of_pending(run)
