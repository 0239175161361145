"""Several processes under torchrun, on one CPU over gloo."""

import json
import math
import os
import signal
from pathlib import Path
from typing import Any

import pytest
import torch

from pipeline.training.clip_sources import open_scenes
from pipeline.training.parallel import Ranks, joined
from pipeline.training.trainer import Trainer
from tests.training.tiny import WITH_SCENES, start_training, tiny_options, wait_for

TWO: dict[str, Any] = {"ranks": 2, "program": ("-m", "tests.training.two_ranks"), "save_every_steps": 2}


@pytest.mark.slow
@pytest.mark.timeout(400)
def test_two_ranks_train_one_model(tmp_path: Path) -> None:
    more = (
        TWO | WITH_SCENES | {"steps": 3, "log_every_steps": 1, "gradient_checkpointing": True, "minutes": 60}
    )
    printed, errors = (process := start_training(tmp_path, **more)).communicate(timeout=350)
    assert process.returncode == 0, errors
    lines = [json.loads(line) for line in (tmp_path / "metrics.jsonl").read_text().splitlines()]
    for name in ("loss", "dense_loss", "epe_px"):
        losses = [line[name] for line in lines if name in line]
        assert len(losses) == 3
        assert all(map(math.isfinite, losses))
    assert printed.count("written:") == 1
    assert json.loads((tmp_path / "summary.json").read_text())["processes"] == 2
    mine, others = (torch.load(tmp_path / f"rank{rank}.pt", weights_only=True) for rank in (0, 1))
    parameters = dict(Trainer(tiny_options(tmp_path, **WITH_SCENES)).model.named_parameters())
    assert any(name.startswith("motion.") for name in parameters)
    for name in parameters:
        assert torch.equal(mine[name], others[name]), name
    # each rank has seen clips of its own
    assert any(not torch.equal(mine[name], others[name]) for name in mine.keys() - parameters.keys())


@pytest.mark.slow
@pytest.mark.timeout(400)
def test_an_error_on_one_rank_ends_all(tmp_path: Path) -> None:
    printed, errors = (process := start_training(tmp_path, "--break-rank-1", **TWO)).communicate(timeout=350)
    assert process.returncode != 0
    assert "error: rank 1: it has had enough" in errors
    assert "written:" not in printed


@pytest.mark.slow
@pytest.mark.timeout(400)
def test_ctrl_c_ends_all_ranks_after_one_has_saved(tmp_path: Path) -> None:
    endless = {"steps": 100_000, "log_every_steps": 1, "save_every_steps": 100_000}
    running = start_training(tmp_path, ranks=2, **endless)
    metrics = tmp_path / "metrics.jsonl"
    try:
        wait_for(lambda: metrics.exists() and metrics.read_text() != "", running)
        os.killpg(running.pid, signal.SIGINT)  # as a terminal does
        printed, errors = running.communicate(timeout=100)
    finally:
        running.kill()
    assert printed.count("continue with the same command and --resume") == 1, errors
    assert torch.load(tmp_path / "last.pt", weights_only=True)["step"] > 0


def test_a_batch_that_cannot_be_shared_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="batch_size 6 is not a multiple of 4 ranks"):
        Trainer(tiny_options(tmp_path), ranks=Ranks(0, 4, torch.device("cpu")))


def test_scenes_that_cannot_be_shared_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="scene_batch_size 2 is not a multiple of 3 ranks"):
        Trainer(tiny_options(tmp_path, **WITH_SCENES), ranks=Ranks(0, 3, torch.device("cpu")))


def test_each_rank_films_scenes_of_its_own(tmp_path: Path) -> None:
    options = tiny_options(tmp_path, **WITH_SCENES)
    first, second = (open_scenes(options, Ranks(rank, 2, torch.device("cpu"))) for rank in (0, 1))
    assert not torch.equal(first.clips(1).truth.flow, second.clips(1).truth.flow)


def test_alone_there_is_one_rank_that_leads() -> None:
    with joined("cpu") as ranks:
        assert (ranks.leads, ranks.count) == (True, 1)
        assert ranks.agree(3.0) == [3.0]
        assert ranks.mean(3.0, 4.0) == [3.0, 4.0]
        model = torch.nn.Linear(1, 1)
        model(torch.ones(1, 1)).backward()
        before = model.weight.grad.clone()
        ranks.average_gradients([*model.parameters()])
        assert torch.equal(model.weight.grad, before)
