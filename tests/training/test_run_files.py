"""A disk that fills up while a run saves."""

from pathlib import Path

import pytest
import torch

from pipeline.base.errors import UserError
from pipeline.training.run_files import full_disk_explained, read_state, write_state
from pipeline.training.trainer import Trainer
from tests.training.tiny import start_training, tiny_options


def test_the_last_state_survives_a_full_disk(small_disk: Path) -> None:
    last = small_disk / "last.pt"
    write_state(last, {"step": 1, "model": {"weight": torch.ones(100)}})
    with (
        pytest.raises(UserError, match=r"no space left .*last\.pt is complete; .*--resume"),
        full_disk_explained(last),
    ):
        write_state(last, {"step": 2, "model": {"weight": torch.ones(100_000)}})
    assert list(small_disk.iterdir()) == [last]
    assert read_state(last, torch.device("cpu"))["step"] == 1


def test_a_checkpoint_that_does_not_fit_leaves_nothing_behind(small_disk: Path) -> None:
    run = Trainer(tiny_options(small_disk))
    with (
        pytest.raises(UserError, match=r"no space left .*: free some space first"),
        full_disk_explained(small_disk / "last.pt"),
    ):
        run.validate()
    assert not list(small_disk.iterdir())


def test_a_whole_run_on_a_full_disk_ends_with_one_line(tmp_path: Path) -> None:
    _, errors = (ended := start_training(tmp_path, largest_file=1_000_000)).communicate(timeout=100)
    assert ended.returncode == 2, errors
    assert errors.startswith("error: no space left for the files of this run (File too large)")
    assert errors.count("\n") == 1


def test_other_errors_are_not_taken_for_a_full_disk(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError), full_disk_explained(tmp_path / "last.pt"):
        write_state(tmp_path / "none" / "last.pt", {})
