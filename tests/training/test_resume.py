"""A run that was broken off goes on as if nothing had happened."""

import json
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from pipeline.training.run import fit
from pipeline.training.trainer import Fitting
from tests.training.tiny import start_training, tiny_options

TIMES = ("elapsed_s", "triplets_per_s")
RUN: dict[str, Any] = {"steps": 5, "log_every_steps": 2, "save_every_steps": 1, "validate_every_steps": 3}


def curve(out: Path) -> list[dict[str, Any]]:
    """The lines of metrics, without what depends on the speed of the machine."""
    lines = [json.loads(line) for line in (out / "metrics.jsonl").read_text().splitlines()]
    return [{key: value for key, value in line.items() if key not in TIMES} for line in lines]


@pytest.mark.slow
@pytest.mark.timeout(400)
def test_a_run_killed_while_it_saves_ends_as_the_unbroken_one(tmp_path: Path) -> None:
    whole, broken = tmp_path / "whole", tmp_path / "broken"
    unbroken, killed = start_training(whole, **RUN), start_training(broken, **RUN)
    try:
        deadline = time.monotonic() + 120
        while not ((broken / "last.pt").exists() and (broken / "last.pt.tmp").exists()):
            assert killed.poll() is None, killed.communicate()
            assert time.monotonic() < deadline
            time.sleep(0.001)
    finally:
        killed.kill()
    killed.communicate()
    said, errors = unbroken.communicate(timeout=200)
    assert unbroken.returncode == 0, errors

    again = start_training(broken, "--resume", **RUN)
    said, errors = again.communicate(timeout=200)
    assert again.returncode == 0, errors
    assert "of the run before" in said
    assert [line["step"] for line in curve(whole)] == [2, 3, 4, 5]
    for mine, wanted in zip(curve(broken), curve(whole), strict=True):
        assert mine == pytest.approx(wanted, abs=2e-4)
    weights, others = (load_file(out / "model.safetensors") for out in (broken, whole))
    for name, value in weights.items():
        torch.testing.assert_close(value, others[name], rtol=1e-3, atol=1e-4, msg=name)


def test_the_steps_after_resuming_are_those_of_the_unbroken_run(tmp_path: Path) -> None:
    options = tiny_options(tmp_path)
    unbroken, broken = Fitting(options), Fitting(options)
    for _ in range(4):
        unbroken.advance()
    for _ in range(3):
        broken.advance()
    broken.stale, broken.best = 2, 0.5
    broken.save()
    again = Fitting(options)
    again.resume()
    assert (again.step, again.stale, again.best) == (3, 2, 0.5)
    assert torch.equal(torch.stack(again.pending), torch.stack(broken.pending))
    again.advance()
    for name, value in unbroken.model.state_dict().items():
        torch.testing.assert_close(again.model.state_dict()[name], value, msg=name)
    for name, value in unbroken.average.model.state_dict().items():
        torch.testing.assert_close(again.average.model.state_dict()[name], value, msg=name)


def test_the_scale_of_fp16_is_part_of_the_state(tmp_path: Path) -> None:
    options = tiny_options(tmp_path, precision="fp16", batch_size=2)
    run = Fitting(options)
    before = [weight.detach().clone() for weight in run.model.parameters()]
    assert 0 < float(run.advance()) < 20
    run.scaler.update(256.0)
    run.advance()
    assert any(not torch.equal(*pair) for pair in zip(before, run.model.parameters(), strict=True))
    run.save()
    again = Fitting(options)
    again.resume()
    assert again.scaler.state_dict() == run.scaler.state_dict()
    assert again.scaler.get_scale() == 256.0


def test_lines_after_the_point_of_return_are_written_anew(tmp_path: Path) -> None:
    options = tiny_options(tmp_path, steps=2)
    fit(options)
    first = curve(tmp_path)
    with (tmp_path / "metrics.jsonl").open("a") as file:
        file.write('{"step": 3, "loss": 9.0}\n{"step": 4, "lo')
    fit(replace(options, steps=4, resume=True))
    assert [line["step"] for line in curve(tmp_path)] == [2, 2, 4, 4]
    assert curve(tmp_path)[:2] == first


def test_resuming_needs_a_run_with_the_same_recipe(tmp_path: Path) -> None:
    options = tiny_options(tmp_path)
    run = Fitting(options)
    with pytest.raises(ValueError, match="nothing to resume"):
        run.resume()
    run.save()
    with pytest.raises(ValueError, match="another learning_rate"):
        Fitting(replace(options, learning_rate=1e-4)).resume()
    run.labels = ("open", "shut")
    run.save()
    with pytest.raises(ValueError, match="its classes are open, shut"):
        Fitting(options).resume()
    (tmp_path / "last.pt").write_bytes((tmp_path / "last.pt").read_bytes()[:5000])
    with pytest.raises(ValueError, match="it is damaged"):
        Fitting(options).resume()
