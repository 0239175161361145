from pathlib import Path

import pytest
import torch
from torch import Tensor

from pipeline.model.checkpoint import load_checkpoint, save_checkpoint
from pipeline.model.network import TemporalKVQResNetCBAM
from pipeline.runtime.open_runtime import open_runtime
from pipeline.runtime.runtime_options import Options
from pipeline.training.evaluation.calibration import calibrate, calibrated, fit_temperature
from pipeline.training.evaluation.metrics import calibration
from tests.training.evaluation.test_score_motions import Tracker


def drawn(temperature: float, n: int = 20_000) -> tuple[Tensor, Tensor]:
    """Logits that are too sure by a known factor, and labels that follow the true probabilities."""
    generator = torch.Generator().manual_seed(3)
    honest = 2 * torch.randn((n, 5), generator=generator)
    labels = torch.multinomial(honest.softmax(dim=1), 1, generator=generator)[:, 0]
    return honest * temperature, labels


@pytest.mark.parametrize("temperature", [0.3, 1.0, 4.0])
def test_finds_the_temperature_and_other_clips_are_calibrated_by_it(temperature: float) -> None:
    logits, labels = drawn(temperature)
    half = len(labels) // 2
    fitted = fit_temperature(logits[:half], labels[:half])
    assert fitted == pytest.approx(temperature, rel=0.05)
    report = calibration(logits[half:] / fitted, labels[half:])
    assert report["expected_calibration_error"] < 0.02


@pytest.mark.parametrize("clips", [3, 30, 300])
def test_a_few_clips_that_are_all_right_do_not_make_it_entirely_sure(clips: int) -> None:
    labels = torch.arange(clips) % 3
    logits = 4 * torch.eye(3)[labels]
    score = float((logits / fit_temperature(logits, labels)).softmax(dim=1).max())
    assert 1 - score == pytest.approx(2 / 3 / (clips + 1), rel=0.01)


def test_no_better_than_chance_stops_at_the_highest() -> None:
    assert fit_temperature(torch.eye(3) * 2, (torch.arange(3) + 1) % 3) == pytest.approx(5.0)


def test_no_clips() -> None:
    with pytest.raises(ValueError, match="without clips"):
        fit_temperature(torch.zeros(0, 3), torch.zeros(0, dtype=torch.long))


def test_folded_into_the_checkpoint_and_applied_by_the_runtime(tmp_path: Path) -> None:
    torch.manual_seed(0)
    model = TemporalKVQResNetCBAM(depth=18, num_classes=5, d_model=16, num_heads=2, image_size=64).eval()
    frames = torch.randn(6, 3, 3, 64, 64)
    with torch.no_grad():
        before: Tensor = model(*frames.unbind(dim=1))[0]
    logits, labels = drawn(4.0)
    temperature = calibrate(model, logits, labels)
    with torch.no_grad():
        after: Tensor = model(*frames.unbind(dim=1))[0]
    torch.testing.assert_close(after * temperature, before)
    assert model.metadata["temperature"] == pytest.approx(temperature, abs=1e-4)

    calibrate(model, logits / 8, labels)
    assert model.metadata["temperature"] == pytest.approx(temperature * 0.5, rel=0.05)
    save_checkpoint(tmp_path / "a.safetensors", model)
    assert load_checkpoint(tmp_path / "a.safetensors").metadata["temperature"] == pytest.approx(2.0, rel=0.05)

    picture = torch.randint(0, 256, (64, 64, 3), dtype=torch.uint8).numpy()
    runtime = open_runtime(tmp_path / "a.safetensors", Options(device="cpu"))
    probabilities = torch.from_numpy(runtime.infer([picture], [[None, None]]).results[0].probabilities)
    rgb = torch.from_numpy(picture[..., ::-1].copy()).permute(2, 0, 1) / 255
    mean, std = (torch.tensor(x).view(3, 1, 1) for x in (model.preprocessing.mean, model.preprocessing.std))
    with torch.no_grad():
        expected = model.step(((rgb - mean) / std)[None], model.init_state(1))[0].logits.softmax(dim=1)[0]
    torch.testing.assert_close(probabilities, expected, atol=5e-3, rtol=0)


def test_a_refitted_temperature_is_judged_on_other_clips_than_it_was_fitted_on() -> None:
    """One clip of a class is all right, the other all wrong: its own windows would tell nothing of that."""
    labels = torch.tensor([0] * 20 + [1] * 20)
    of_clips = torch.tensor([0] * 10 + [1] * 10 + [2] * 10 + [3] * 10)
    answers = torch.where(of_clips % 2 == 0, labels, 1 - labels)
    logits = 3 * torch.nn.functional.one_hot(answers, 2).float()
    by_clip = calibrated(Tracker(), logits, labels, of_clips)["refitted"]
    assert by_clip["temperature"] < 1, "fitted on the clips that are right"
    assert by_clip["expected_calibration_error"] > 0.9, "and judged on those that are wrong"
    right = of_clips % 2 == 0
    one_each = calibrated(Tracker(), logits[right], labels[right], of_clips[right])
    assert "refitted" not in one_each
