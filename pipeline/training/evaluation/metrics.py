"""Metrics of predictions: accuracy, macro-F1, confusion, calibration and the verdict."""

from collections.abc import Sequence
from statistics import NormalDist
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

Report = dict[str, Any]


def accuracy(predicted: Tensor, labels: Tensor) -> float:
    """Share of correct predictions."""
    return round(float((predicted == labels).double().mean()), 4)


def scores(labels: Tensor, predicted: Tensor, classes: int, counted: str = "clips") -> Report:
    """The number of samples, ``accuracy``, ``macro_f1`` and ``confusion`` (rows are the truth).

    Macro-F1 is the mean F1 over the classes that occur among the labels or predictions.

    Args:
        labels: True class indices ``(N,)``.
        predicted: Predicted class indices ``(N,)``.
        classes: Number of classes.
        counted: Name of the samples: ``clips``, or ``windows`` of recorded clips.
    """
    counts = torch.bincount(labels * classes + predicted, minlength=classes * classes).view(classes, classes)
    hits, seen = counts.diagonal().double(), counts.sum(dim=0) + counts.sum(dim=1)
    f1 = (2 * hits / seen.clamp_min(1))[seen > 0]
    return {
        counted: len(labels),
        "accuracy": accuracy(predicted, labels) if len(labels) else 0.0,
        "macro_f1": round(float(f1.mean()), 4) if len(f1) else 0.0,
        "confusion": counts.tolist(),
    }


def expected_calibration_error(probabilities: Tensor, labels: Tensor, bins: int = 15) -> float:
    """Mean difference between the score of a prediction and the accuracy at that score.

    Args:
        probabilities: ``(N, classes)``.
        labels: The truth ``(N,)``.
        bins: Number of bins of equal width over the scores.
    """
    score, answer = probabilities.double().max(dim=1)
    right = (answer == labels).double()
    place = (score * bins).long().clamp(0, bins - 1)
    off = torch.zeros(bins, dtype=torch.float64, device=score.device)
    return float(off.index_add(0, place, right - score).abs().sum() / max(len(labels), 1))


def calibration(logits: Tensor, labels: Tensor) -> Report:
    """Expected calibration error (15 bins) and negative log likelihood of logits ``(N, classes)``."""
    return {
        "expected_calibration_error": round(expected_calibration_error(logits.softmax(dim=1), labels), 4),
        "negative_log_likelihood": round(float(F.cross_entropy(logits.double(), labels)), 4),
    }


def recalls(confusion: Sequence[Sequence[int]]) -> list[float | None]:
    """Recall of each class; None for a class without samples."""
    return [row[i] / sum(row) if sum(row) else None for i, row in enumerate(confusion)]


def majority(labels: Tensor) -> float:
    """Accuracy of always predicting the most frequent class of ``labels``."""
    return round(float(labels.bincount().max()) / len(labels), 4)


def verdict(report: Report, chosen_among: int = 0, *, stopped: str = "") -> tuple[bool, str]:
    """Whether a model learned, and the verdict as text.

    It learned if its accuracy exceeds what always predicting one class could reach by chance. The bound is
    two standard errors of a share over the clips, not over the windows, because the windows of one clip are
    correlated. If the same clips selected the weights, the bound is Bonferroni-corrected for the number of
    validations.

    Args:
        report: With ``accuracy``, ``macro_f1``, ``majority_accuracy`` and ``clips``.
        chosen_among: Number of validations on the same clips that the weights were selected from; 0 if
            other clips selected them.
        stopped: Why training ended too soon, and what to do; "" if it did not.
    """
    found, guess = report["accuracy"], report["majority_accuracy"]
    normal = NormalDist()
    errors = -normal.inv_cdf(normal.cdf(-2) / max(chosen_among, 1))
    learned = found > guess + errors * (guess * (1 - guess) / report["clips"]) ** 0.5
    against = f"held-out accuracy {found:.2f} against {guess:.2f} for always guessing the most frequent class"
    if chosen_among:
        among = f"the best of {chosen_among} validations" if chosen_among > 1 else "1 validation"
        against += f"; the same clips also selected the weights ({among})"
    if learned:
        return True, f"learned: {against}"
    if stopped:
        return False, f"did not learn: {stopped}; {against}"
    return False, f"did not learn: {against}; with {report['clips']} clips, the difference may be chance"
