"""The options of a training run: one schema, filled like the pipeline's configuration."""

import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import asdict, fields
from importlib import resources
from os.path import realpath
from pathlib import Path
from typing import Annotated, Any, Literal

import msgspec

from pipeline.base.errors import ConfigError
from pipeline.base.layers import fill, parse_override, read_table
from pipeline.base.schema import nearest
from pipeline.model.architecture import Architecture
from pipeline.model.description import describe_checkpoint
from pipeline.training.rendered.layered_scene import LayeredScene
from pipeline.training.rendered.renderer import Scene, Share

Count = Annotated[int, msgspec.Meta(ge=0, le=2**40)]
AtLeastOne = Annotated[int, msgspec.Meta(ge=1, le=2**40)]
NonNegative = Annotated[float, msgspec.Meta(ge=0, le=1e9)]
Positive = Annotated[float, msgspec.Meta(gt=0, le=1e9)]

_KEYS_IN = "docs/reference/training_options.md, with their defaults"
_LARGEST = {"num_past": 8, "image_size": 2048, "d_model": 8192, "num_layers": 32}


class TrainingOptions(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The options of a training run; defaults are in ``configs/train_motion.toml``.

    With ``data``, ``configs/train_clips.toml`` overrides these. Names include their units; shares are from 0
    to 1.
    """

    out: str
    """Folder for checkpoints, metrics and summary."""
    data: str
    """Folder with one subfolder of clips per class, or a CSV file; "" = rendered camera motion."""
    init: str
    """Initial weights: "" = random; a checkpoint of this program (name or file), which also sets the
    architecture; "imagenet" or a .pth file with a torchvision ResNet's weights, for the backbone."""
    pictures: str
    """Folder of photos to train on; "" = procedural images only."""
    held_out: str
    """Folder of photos never trained on, for the final evaluation; "" = procedural, with another seed."""
    resume: bool
    """Resume from the last checkpoint in ``out``."""
    device: str
    """Device to train on: ``auto``, ``cpu``, ``cuda``, ``cuda:1`` ..."""

    model: Architecture
    """The network; ``num_classes`` is set from the data."""
    identity_blocks: bool
    """Residual branches start at zero; helps at depth 50 and above."""
    gradient_checkpointing: bool
    """Recompute each stage in the backward pass: less memory, more time."""
    freeze_batch_norm: bool
    """Freeze statistics, weights and biases of batch norm."""
    backbone_rate: Annotated[float, msgspec.Meta(ge=0, le=100)]
    """Learning rate of the backbone relative to the head's; 0 = frozen."""
    keep_motion_weight: NonNegative
    """Weight of the loss that preserves the dense motion of ``init`` while the backbone is trained without
    layered scenes."""

    minutes: NonNegative
    """Training time, excluding compilation and validation; 0 = no limit."""
    steps: Count
    """Optimiser steps; 0 = no limit. The run ends at whichever limit is reached first."""
    patience: Count
    """Stop after this many validations in a row without improvement; 0 = never."""
    batch_size: AtLeastOne
    """Clips per step, over all processes."""
    learning_rate: Positive
    """Maximum learning rate, after the warm-up."""
    warmup_steps: Count
    """Steps of linear warm-up before the cosine decay."""
    weight_decay: NonNegative
    """Weight decay; not applied to norms, biases and embeddings."""
    clip_norm: Positive
    """Maximum norm of the gradient."""
    label_smoothing: Share
    """Label smoothing of the cross entropy."""
    match_weight: NonNegative
    """Weight of the loss that trains the attention on true correspondences (rendered clips only)."""
    ema_decay: Share
    """Decay of the averaged weights, which are saved."""
    no_past_share: Share
    """Share of samples with only the newest frame, as at the start of a stream."""
    one_past_share: Share
    """Share of samples with only some of the past frames (with two past frames: only t-1)."""
    precision: Literal["auto", "fp32", "bf16", "fp16"]
    """``auto`` is bf16 on CUDA, else fp32."""
    compile: bool
    """On CUDA, use torch.compile for the backbone if it works."""
    seed: Count
    """Random seed of weights, images and motions."""

    scene: Scene
    """Disturbances of rendered clips."""
    scene_batch_size: Count
    """Layered scenes per step, over all processes, to train dense motion; 0 = none."""
    clips_every_steps: AtLeastOne
    """With scenes: interval in steps at which labelled clips are used; the other steps use only scenes."""
    scenes_ahead: Annotated[int, msgspec.Meta(ge=0, le=64)]
    """On CUDA, number of batches of scenes that a second process renders in advance; 0 = none."""
    scene_height: Annotated[int, msgspec.Meta(ge=64, le=1024, multiple_of=32)]
    """Height of the scenes in pixels."""
    scene_width: Annotated[int, msgspec.Meta(ge=64, le=1024, multiple_of=32)]
    """Width of the scenes in pixels."""
    scenes: LayeredScene
    """Content of the scenes."""
    curriculum_share: Share
    """Share of the run in which slow motions are phased in; 0 = all speeds from the start."""
    min_speed: Positive
    """Lowest speed of rendered motions, as a multiple of the reference speed."""
    max_speed: Positive
    """Highest speed of rendered motions, as a multiple of the reference speed."""
    photo_share: Share
    """Share of the image bank cropped from photos, if any."""
    bank_count: AtLeastOne
    """Number of images in the image bank, which is held on the device."""
    redraw_every_steps: Count
    """Steps between two redraws of 32 images; 0 = never."""
    supersample: Annotated[int, msgspec.Meta(ge=1, le=16)]
    """Samples per pixel along each axis."""

    spacing_ms: NonNegative
    """Time between the frames of a window of ``data``; 0 = consecutive frames."""
    validation_share: Annotated[float, msgspec.Meta(gt=0, lt=1)]
    """Share of the clips of ``data`` held out for validation, if the data has no split."""
    augment: bool
    """Augment position, size, light and noise of the clips of ``data``."""
    mirror: bool
    """Also flip the clips of ``data`` horizontally; only if that can't change a class."""
    windows_per_clip: Count
    """Windows per clip of ``data`` in a validation; 0 = all, as in the final evaluation."""

    log_every_steps: AtLeastOne
    """Steps between two training lines of metrics.jsonl."""
    save_every_steps: AtLeastOne
    """Steps between two writes of last.pt."""
    validate_every_steps: AtLeastOne
    """Steps between two validations."""
    validate_samples: AtLeastOne
    """Clips per validation; only for rendered clips, which show new motions over the training images."""
    evaluate_samples: AtLeastOne
    """Clips per speed and per control of the final evaluation; only for rendered clips."""

    def __post_init__(self) -> None:
        if self.minutes <= 0 and self.steps <= 0:
            raise ValueError("minutes or steps must be above 0, or training would never end")
        for name, most in _LARGEST.items():
            if (value := getattr(self.model, name)) > most:
                raise ValueError(f"model.{name} must be at most {most}, not {value}")
        if self.pictures and self.held_out and realpath(self.pictures) == realpath(self.held_out):
            raise ValueError("held_out is the same folder as pictures: give photos never trained on")
        if self.scene_batch_size and not self.model.motion:
            raise ValueError("scene_batch_size: layered scenes train dense motion, so set model.motion too")
        if self.max_speed < self.min_speed:
            raise ValueError(f"max_speed ({self.max_speed}) is below min_speed ({self.min_speed})")

    def recipe(self) -> dict[str, Any]:
        """The options that affect the weights: without folders, machine and output intervals."""
        table: dict[str, Any] = msgspec.to_builtins(self)
        table["model"]["scales"] = list(self.model.scales)  # a list, as in JSON
        del table["model"]["num_classes"]
        return {key: value for key, value in table.items() if key not in _NOT_RECIPE}


_NOT_RECIPE = {
    "out",
    "data",
    "pictures",
    "held_out",
    "resume",
    "device",
    "gradient_checkpointing",
    "compile",
    "scenes_ahead",
    "log_every_steps",
    "save_every_steps",
    "validate_every_steps",
    "validate_samples",
    "evaluate_samples",
    "windows_per_clip",
}


def load_options(
    path: Path | None = None, overrides: Sequence[str] = (), given: Mapping[str, Any] | None = None
) -> TrainingOptions:
    """Fills the options from the defaults, the architecture of ``init``, a file, single keys, then ``given``.

    Args:
        path: A TOML file; None for no file.
        overrides: ``"key=value"`` each, as in ``model.depth=50``.
        given: Values by key that override all others, from the command line's flags.

    Raises:
        ConfigError: An unreadable file, an unknown key, a wrong type or an invalid value, in one line.
        CheckpointError: The checkpoint named in ``init`` does not exist.
    """
    written = [read_table(path), *map(parse_override, overrides), given or {}]
    defaults = [_shipped("train_motion.toml")]
    if _last(written, "data"):
        defaults.append(_shipped("train_clips.toml"))
    init = _last([*defaults, *written], "init")
    if isinstance(init, str) and is_checkpoint(init):
        defaults.append({"model": asdict(describe_checkpoint(init).architecture)})
    for table in written:
        _check_model(table.get("model"))
    return fill(TrainingOptions, defaults, path, overrides, given, keys_in=_KEYS_IN)


def is_checkpoint(init: str) -> bool:
    """Whether ``init`` is a checkpoint of this program, not weights of a torchvision ResNet."""
    return bool(init) and init != "imagenet" and Path(init).suffix not in (".pth", ".pt")


def _shipped(name: str) -> dict[str, Any]:
    return tomllib.loads(resources.files("configs").joinpath(name).read_text("utf-8"))


def _last(tables: Sequence[Mapping[str, Any]], key: str) -> Any:
    return next((table[key] for table in reversed(tables) if key in table), None)


def _check_model(table: Any) -> None:
    """Rejects unknown keys, which msgspec ignores for a dataclass."""
    known = [field.name for field in fields(Architecture) if field.name != "num_classes"]
    for name in table if isinstance(table, Mapping) else ():
        if name not in known:
            raise ConfigError(f"unknown key 'model.{name}'{nearest(name, known)}; all keys are in {_KEYS_IN}")
