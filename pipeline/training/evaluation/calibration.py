"""Temperature scaling: calibrates scores to the accuracy at that score.

Source: Guo et al., arXiv 1706.04599.
"""

import torch
from torch import Tensor, nn

from pipeline.model.network import TemporalKVQResNetCBAM
from pipeline.training.evaluation.metrics import Report, calibration

_LOWEST, _HIGHEST = 0.2, 5.0


def fit_temperature(logits: Tensor, labels: Tensor) -> float:
    """The temperature that makes the labels most likely, and with them one more clip of any class.

    Without that one, a few clips that are all right would make a model entirely sure of everything.
    The likelihood has one peak over 1 / T, so halving the interval around the zero of its slope finds it.

    Args:
        logits: ``(N, classes)`` of clips that were not trained on.
        labels: their classes ``(N,)``.

    Returns:
        Between 0.2 and 5: logits that are no better than chance have no best one.

    Raises:
        ValueError: no clips.
    """
    if len(labels) == 0:
        raise ValueError("a temperature can't be fitted on no clips")
    logits = logits.double()
    any_class = 1 / (len(labels) + 1)
    own = torch.lerp(logits.gather(1, labels[:, None]).mean(), logits.mean(), any_class)
    low, high = 1 / _HIGHEST, 1 / _LOWEST
    for _ in range(60):
        middle = (low * high) ** 0.5
        expected = ((logits * middle).softmax(dim=1) * logits).sum(dim=1).mean()
        low, high = (middle, high) if expected <= own else (low, middle)
    return 1 / low


@torch.no_grad()
def calibrate(model: TemporalKVQResNetCBAM, logits: Tensor, labels: Tensor) -> float:
    """Fits a temperature and folds it into the classifier: no answer changes, and a step costs the same.

    ``model.metadata["temperature"]`` holds what the classifier has been divided by, over all calls.

    Args:
        model: the network that gave the logits; changed in place.
        logits: ``(N, classes)`` of clips that were not trained on.
        labels: their classes ``(N,)``.

    Returns:
        The temperature that was folded in by this call.

    Raises:
        ValueError: no clips.
    """
    temperature = fit_temperature(logits, labels)
    last = [model.temporal.classifier, *([] if model.motion is None else [model.motion_votes[-1]])]
    for weights in (weights for layer in last for weights in layer.parameters()):
        weights.div_(temperature)
    before = float(model.metadata.get("temperature", 1.0))
    model.metadata["temperature"] = round(before * temperature, 4)
    return temperature


def calibrated(model: nn.Module, logits: Tensor, labels: Tensor, numbers: Tensor | None = None) -> Report:
    """What the scores of a model are worth, and what a temperature could still mend.

    Args:
        model: the network that gave the logits.
        logits: ``(N, classes)``.
        labels: the truth ``(N,)``.
        numbers: of the clip that each is a window of ``(N,)``; None: each is a clip of its own.

    Returns:
        Expected calibration error and negative log likelihood as the model is; ``temperature`` that has
        been folded into it (None: it was never calibrated); ``refitted``: a temperature fitted on every
        second clip of each class, and the error that it leaves on the others, if there are any.
    """
    report: Report = calibration(logits, labels)
    report["temperature"] = getattr(model, "metadata", {}).get("temperature")
    numbers = torch.arange(len(labels), device=labels.device) if numbers is None else numbers
    fitted = _every_second_clip(labels, numbers)
    if not fitted.all():
        temperature = fit_temperature(logits[fitted], labels[fitted])
        others = calibration(logits[~fitted] / temperature, labels[~fitted])
        report["refitted"] = {"temperature": round(temperature, 4), **others}
    return report


def _every_second_clip(labels: Tensor, numbers: Tensor) -> Tensor:
    """Which windows ``(N,)`` are of the first, third, fifth ... clip of their class."""
    chosen = torch.zeros_like(labels, dtype=torch.bool)
    for label in set(labels.tolist()):
        of_class = labels == label
        order = sorted(set(numbers[of_class].tolist()))
        chosen |= of_class & torch.isin(numbers, torch.tensor(order[::2], device=numbers.device))
    return chosen
