import pytest
import torch

from pipeline.training.evaluation.metrics import (
    calibration,
    expected_calibration_error,
    majority,
    recalls,
    scores,
    verdict,
)


def test_scores_of_a_known_confusion() -> None:
    report = scores(torch.tensor([0, 0, 1, 1]), torch.tensor([0, 1, 1, 1]), classes=3)
    assert report["accuracy"] == 0.75
    assert report["confusion"] == [[1, 1, 0], [0, 2, 0], [0, 0, 0]]
    assert report["macro_f1"] == pytest.approx((2 / 3 + 0.8) / 2, abs=1e-4)


def test_a_class_that_is_only_answered_lowers_macro_f1() -> None:
    report = scores(torch.tensor([0, 0]), torch.tensor([0, 1]), classes=2)
    assert report["macro_f1"] == pytest.approx((2 / 3) / 2, abs=1e-4)


def test_no_clips_have_no_score() -> None:
    empty = torch.zeros(0, dtype=torch.long)
    assert scores(empty, empty, classes=2) == {
        "clips": 0,
        "accuracy": 0.0,
        "macro_f1": 0.0,
        "confusion": [[0, 0], [0, 0]],
    }


def test_scores_that_are_the_share_of_right_answers_have_no_calibration_error() -> None:
    probabilities = torch.tensor([[0.8, 0.2]]).expand(10, 2)
    assert expected_calibration_error(probabilities, torch.tensor([0] * 8 + [1] * 2)) == pytest.approx(
        0.0, abs=1e-6
    )
    assert expected_calibration_error(probabilities, torch.tensor([0] * 5 + [1] * 5)) == pytest.approx(
        0.3, abs=1e-6
    )


def test_calibration_error_weighs_bins_by_their_clips() -> None:
    probabilities = torch.tensor([[1.0, 0.0]] * 3 + [[0.6, 0.4]])
    assert expected_calibration_error(probabilities, torch.tensor([0, 0, 0, 1])) == pytest.approx(0.6 / 4)


def test_likelihood_of_even_logits() -> None:
    report = calibration(torch.zeros(4, 2), torch.tensor([0, 1, 0, 1]))
    assert report == {"expected_calibration_error": 0.0, "negative_log_likelihood": 0.6931}


def test_recall_of_each_class() -> None:
    assert recalls([[3, 1], [0, 0]]) == [0.75, None]


def test_a_model_has_learned_if_it_beats_guessing_by_more_than_chance() -> None:
    report = {"accuracy": 0.93, "majority_accuracy": 0.11, "clips": 100}
    assert verdict(report) == (
        True,
        "learned: held-out accuracy 0.93 against 0.11 for always guessing the most frequent class",
    )
    for accuracy, clips in ((0.1, 100), (0.15, 100), (0.3, 5)):
        learned, reason = verdict(report | {"accuracy": accuracy, "clips": clips})
        assert not learned
        assert reason.startswith(f"did not learn: held-out accuracy {accuracy:.2f} against 0.11")


def test_clips_that_chose_the_weights_ask_for_more_accuracy() -> None:
    report = {"accuracy": 0.62, "majority_accuracy": 0.5, "clips": 100}
    assert verdict(report)[0]
    assert verdict(report, chosen_among=1)[0]
    learned, reason = verdict(report, chosen_among=20)
    assert not learned
    assert "the same clips also selected the weights (the best of 20 validations)" in reason
    assert verdict(report | {"accuracy": 0.66}, chosen_among=20)[0]


def test_the_verdict_says_first_that_training_ended_too_soon() -> None:
    report = {"accuracy": 0.48, "majority_accuracy": 0.6, "clips": 10}
    stopped = "stopped by the time limit after 4 of 60 steps: allow more minutes"
    assert verdict(report, 1, stopped=stopped) == (
        False,
        f"did not learn: {stopped}; held-out accuracy 0.48 against 0.60 for always guessing the most "
        "frequent class; the same clips also selected the weights (1 validation)",
    )
    learned, reason = verdict(report | {"accuracy": 0.99}, stopped=stopped)
    assert learned
    assert "stopped" not in reason


def test_the_majority_is_the_largest_class() -> None:
    assert majority(torch.tensor([1, 1, 1, 0])) == 0.75
