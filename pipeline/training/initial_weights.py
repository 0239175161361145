"""Initial weights: random, a checkpoint, or a torchvision ResNet."""

import pickle
from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from typing import Any, cast

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from pipeline.model.checkpoint import load_checkpoint
from pipeline.model.description import describe_checkpoint
from pipeline.model.network import TemporalKVQResNetCBAM
from pipeline.model.positions import Positions
from pipeline.model.torchvision_models import models
from pipeline.training.training_options import TrainingOptions, is_checkpoint

_CLASSIFIER = "temporal.classifier."
_VOTES = "motion_votes."
_BY_CLASS = (_CLASSIFIER, f"{_VOTES}2.")
"""Layers with one row per class."""


def build_model(options: TrainingOptions, labels: tuple[str, ...]) -> TemporalKVQResNetCBAM:
    """The network to train, with its initial weights.

    Args:
        options: Options of the run.
        labels: Names of the classes; if they differ from those of the checkpoint in ``init``, the
            classifier is reinitialised.

    Raises:
        ValueError: The weights can't be read or belong to another network.
    """
    model = TemporalKVQResNetCBAM(
        replace(options.model, num_classes=len(labels)),
        labels=labels,
        gradient_checkpointing=options.gradient_checkpointing,
        identity_blocks=options.identity_blocks,
    )
    if is_checkpoint(options.init):
        _take_over(model, load_checkpoint(options.init))
    elif options.init:
        try:
            model.load_backbone(_plain_weights(options.init, options.model.depth))
        except ValueError as error:
            raise ValueError(f"init {options.init}: {error}") from None
    return model


def check_init(options: TrainingOptions) -> None:
    """Checks that the network has the architecture of the checkpoint in ``init``; the size may differ.

    Raises:
        ValueError: The architecture differs, or the checkpoint does not exist.
    """
    if not is_checkpoint(options.init):
        return
    found = asdict(describe_checkpoint(options.init).architecture)
    for name, wanted in asdict(options.model).items():
        free = ("num_classes", "image_size") if found["motion"] else ("num_classes", "image_size", "motion")
        if wanted != found[name] and name not in free:
            raise ValueError(
                f"model.{name} {_text(wanted)} does not fit {options.init}, where it is "
                f"{_text(found[name])}: omit it, or set init to other weights"
            )


def keeps_classifier(options: TrainingOptions, labels: Sequence[str]) -> bool:
    """Whether the classifier of the checkpoint in ``init`` is kept, because the classes are the same."""
    return is_checkpoint(options.init) and set(describe_checkpoint(options.init).labels) == set(labels)


def freeze_batch_norm(model: nn.Module) -> None:
    """Freezes statistics, weights and biases of every batch norm; call it after ``model.train()``."""
    for module in model.modules():
        if isinstance(module, _BatchNorm):
            module.eval().requires_grad_(False)


def _text(value: Any) -> str:
    return ",".join(value) if isinstance(value, tuple) else str(value)


def _take_over(model: TemporalKVQResNetCBAM, other: TemporalKVQResNetCBAM) -> None:
    """Copies the preprocessing except the size, and all weights with the same meaning in both networks.

    Classifier rows are matched by label; position embeddings are interpolated.
    """
    model.preprocessing = replace(other.preprocessing, size=model.preprocessing.size)
    weights = other.state_dict()
    if set(other.labels) == set(model.labels):
        rows = [other.labels.index(label) for label in model.labels]
        for name in weights:
            if name.startswith(_BY_CLASS):
                weights[name] = weights[name][rows]
    else:
        weights |= {n: x for n, x in model.state_dict().items() if n.startswith((_CLASSIFIER, _VOTES))}
    if other.motion is None:  # keep the new motion head
        weights |= {n: x for n, x in model.state_dict().items() if n.startswith(("motion.", _VOTES))}
    modules = dict(other.named_modules())
    for name, module in model.named_modules():
        if isinstance(module, Positions):
            weights[f"{name}.table"] = cast(Positions, modules[name])(*module.grid).detach()
    model.load_state_dict(weights)


def _plain_weights(init: str, depth: int) -> Mapping[str, Tensor]:
    """The ``state_dict`` of a torchvision ResNet, from a file or downloaded by torchvision."""
    if init == "imagenet":
        choice = models.get_model_weights(f"resnet{depth}").DEFAULT
        try:
            return cast(Mapping[str, Tensor], choice.get_state_dict(progress=False, check_hash=True))
        except (OSError, RuntimeError) as error:
            raise ValueError(
                f"torchvision's weights can't be downloaded from {choice.url} ({error}); "
                "download the file elsewhere and set init to its path"
            ) from None
    try:
        weights = torch.load(init, map_location="cpu", weights_only=True)
    except FileNotFoundError:
        raise ValueError("no such file") from None
    except (OSError, pickle.UnpicklingError, RuntimeError, EOFError, ValueError):
        raise ValueError("not a weights file, or damaged") from None
    if not isinstance(weights, dict) or not all(isinstance(value, Tensor) for value in weights.values()):
        raise ValueError("must contain only the state_dict of a torchvision ResNet")
    return weights
