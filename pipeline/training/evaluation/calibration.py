"""Temperature scaling: calibrates scores to accuracy.

Source: Guo et al., arXiv 1706.04599.
"""

import torch
from torch import Tensor, nn

from pipeline.model.network import TemporalKVQResNetCBAM
from pipeline.training.evaluation.metrics import Report, calibration

_LOWEST, _HIGHEST = 0.2, 5.0


def fit_temperature(logits: Tensor, labels: Tensor) -> float:
    """The maximum-likelihood temperature for the labels plus one clip whose class is uniformly distributed.

    Without the extra clip, a few clips that are all correct would drive every score to 1. The likelihood
    has one maximum over 1 / T, which bisection of its slope finds.

    Args:
        logits: ``(N, classes)`` of clips that were not trained on.
        labels: Their classes ``(N,)``.

    Returns:
        A temperature between 0.2 and 5; the limits apply to logits without an optimum, such as chance level.

    Raises:
        ValueError: There are no clips.
    """
    if len(labels) == 0:
        raise ValueError("a temperature can't be fitted without clips")
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
    """Fits a temperature and folds it into the classifier; the predicted class and the cost do not change.

    ``model.metadata["temperature"]`` holds the product of the temperatures of all calls.

    Args:
        model: The network that produced the logits; changed in place.
        logits: ``(N, classes)`` of clips that were not trained on.
        labels: Their classes ``(N,)``.

    Returns:
        The temperature of this call.

    Raises:
        ValueError: There are no clips.
    """
    temperature = fit_temperature(logits, labels)
    last = [model.temporal.classifier, *([] if model.motion is None else [model.motion_votes[-1]])]
    for weights in (weights for layer in last for weights in layer.parameters()):
        weights.div_(temperature)
    before = float(model.metadata.get("temperature", 1.0))
    model.metadata["temperature"] = round(before * temperature, 4)
    return temperature


def calibrated(model: nn.Module, logits: Tensor, labels: Tensor, numbers: Tensor | None = None) -> Report:
    """The calibration error of a model, and what remains of it after a temperature is refitted.

    Args:
        model: The network that produced the logits.
        logits: ``(N, classes)``.
        labels: The truth ``(N,)``.
        numbers: Number of the clip of each window ``(N,)``; None if each is a clip of its own.

    Returns:
        Expected calibration error and negative log likelihood of the model; the ``temperature`` folded
        into it (None if never calibrated); ``refitted``: a temperature fitted on every second clip of each
        class, and the remaining error on the other clips, if there are any.
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
    """Mask ``(N,)`` of the windows of the first, third, fifth ... clip of each class."""
    chosen = torch.zeros_like(labels, dtype=torch.bool)
    for label in set(labels.tolist()):
        of_class = labels == label
        order = sorted(set(numbers[of_class].tolist()))
        chosen |= of_class & torch.isin(numbers, torch.tensor(order[::2], device=numbers.device))
    return chosen
