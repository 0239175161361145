"""What a run starts from: random weights, one of our checkpoints, or a torchvision ResNet."""

import pickle
from collections.abc import Mapping, Sequence
from dataclasses import asdict, fields, replace
from pathlib import Path
from typing import Any, cast

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm
from torchvision import models

from pipeline.model.architecture import HeadKind
from pipeline.model.attention import AttentionKind
from pipeline.model.cbam import CBAMStart
from pipeline.model.checkpoint import load_checkpoint
from pipeline.model.network import TemporalKVQResNetCBAM
from pipeline.model.positions import Positions
from pipeline.training.options import FitOptions

_CLASSIFIER = "temporal.classifier."
_TIED = {"auto": None, "true": True, "false": False}


def adopt_shape(options: FitOptions) -> FitOptions:
    """The options with the shape of the network that ``init`` names, if that is one of our checkpoints.

    What somebody wrote is never replaced: it fits the checkpoint, or is refused.

    Raises:
        ValueError: no such checkpoint, or an option asks for another shape.
    """
    if not _is_ours(options.init):
        return options
    shape = asdict(load_checkpoint(options.init).architecture)
    shape["tied_values"] = str(shape["tied_values"]).lower()
    adopted: dict[str, Any] = {}
    # another size is fine, if somebody wants it: places are interpolated
    if options.size_px == FitOptions.size_px and "size_px" not in options.written:
        adopted["size_px"] = shape["image_size"]
    for field in fields(options):
        wanted, found = getattr(options, field.name), shape.get(field.name)
        if found is None:
            continue
        chosen = wanted != field.default or field.name in options.written
        if chosen and wanted not in (found, "auto"):
            raise ValueError(
                f"{field.name} {_text(wanted)} does not fit {options.init}, where it is {_text(found)}: "
                f"leave {field.name} out, or start from other weights with init"
            )
        adopted[field.name] = found
    return replace(options, **adopted)


def build_model(options: FitOptions, labels: tuple[str, ...]) -> TemporalKVQResNetCBAM:
    """The network to train, with its first weights.

    Args:
        options: as returned by `adopt_shape`.
        labels: names of the classes; if they are not those of the checkpoint in ``init``, the classifier
            is new.

    Raises:
        ValueError: options that make no network, or weights that can't be read or belong to another one.
    """
    model = TemporalKVQResNetCBAM(
        depth=options.depth,
        num_classes=len(labels),
        use_shared_weights=options.use_shared_weights,
        d_model=options.d_model,
        num_heads=options.num_heads,
        num_layers=options.num_layers,
        num_past=options.num_past,
        attention=cast(AttentionKind, options.attention),
        tied_values=_TIED[options.tied_values],
        scales=options.scales,
        image_size=options.size_px,
        gradient_checkpointing=options.gradient_checkpointing,
        cbam_start=cast(CBAMStart, options.cbam_start),
        head=cast(HeadKind, options.head),
        identity_blocks=options.identity_blocks,
        labels=list(labels),
    )
    if _is_ours(options.init):
        _take_over(model, load_checkpoint(options.init))
    elif options.init:
        try:
            model.load_backbone(_plain_weights(options.init, options.depth))
        except ValueError as error:
            raise ValueError(f"init {options.init}: {error}") from None
    return model


def keeps_classifier(options: FitOptions, labels: Sequence[str]) -> bool:
    """Whether the classifier of the checkpoint in ``init`` is kept: it knows the same classes."""
    return _is_ours(options.init) and set(load_checkpoint(options.init).labels) == set(labels)


def freeze_batch_norm(model: nn.Module) -> None:
    """Fixes statistics, weights and biases of every batch-norm; to be called after ``model.train()``."""
    for module in model.modules():
        if isinstance(module, _BatchNorm):
            module.eval().requires_grad_(False)


def _is_ours(init: str) -> bool:
    return bool(init) and init != "imagenet" and Path(init).suffix not in (".pth", ".pt")


def _text(value: Any) -> str:
    return ",".join(value) if isinstance(value, tuple) else str(value)


def _take_over(model: TemporalKVQResNetCBAM, other: TemporalKVQResNetCBAM) -> None:
    """Copies all weights that mean the same in both: the classifier row by row, places by interpolation."""
    weights = other.state_dict()
    if set(other.labels) == set(model.labels):
        rows = [other.labels.index(label) for label in model.labels]
        for name in ("weight", "bias"):
            weights[_CLASSIFIER + name] = weights[_CLASSIFIER + name][rows]
    else:
        weights |= {n: x for n, x in model.state_dict().items() if n.startswith(_CLASSIFIER)}
    modules = dict(other.named_modules())
    for name, module in model.named_modules():
        if isinstance(module, Positions):
            weights[f"{name}.table"] = cast(Positions, modules[name])(*module.grid).detach()
    model.load_state_dict(weights)


def _plain_weights(init: str, depth: int) -> Mapping[str, Tensor]:
    """The ``state_dict`` of a torchvision ResNet, from a file or as torchvision downloads it."""
    if init == "imagenet":
        choice = models.get_model_weights(f"resnet{depth}").DEFAULT
        try:
            return cast(Mapping[str, Tensor], choice.get_state_dict(progress=False, check_hash=True))
        except (OSError, RuntimeError) as error:
            raise ValueError(
                f"torchvision's weights can't be downloaded from {choice.url} ({error}); "
                "fetch the file elsewhere and give its path as init"
            ) from None
    try:
        weights = torch.load(init, map_location="cpu", weights_only=True)
    except FileNotFoundError:
        raise ValueError("no such file") from None
    except (OSError, pickle.UnpicklingError, RuntimeError, EOFError, ValueError):
        raise ValueError("is not a file of weights, or damaged") from None
    if not isinstance(weights, dict) or not all(isinstance(value, Tensor) for value in weights.values()):
        raise ValueError("must hold the state_dict of a torchvision ResNet and nothing else")
    return weights
