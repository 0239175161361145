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
from pipeline.model.architecture import Architecture
from pipeline.model.description import describe_checkpoint
from pipeline.training.rendered.layered_scene import LayeredScene
from pipeline.training.rendered.renderer import Scene, Share

Count = Annotated[int, msgspec.Meta(ge=0, le=2**40)]
AtLeastOne = Annotated[int, msgspec.Meta(ge=1, le=2**40)]
NonNegative = Annotated[float, msgspec.Meta(ge=0, le=1e9)]
Positive = Annotated[float, msgspec.Meta(gt=0, le=1e9)]

_KEYS_IN = "configs/train_motion.toml"
_LARGEST = {"num_past": 8, "image_size": 2048, "d_model": 8192, "num_layers": 32}


class TrainingOptions(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Everything that a training run depends on; defaults are in ``configs/train_motion.toml``.

    With ``data``, ``configs/train_clips.toml`` goes over these. Names carry their units; a share is a part
    from 0 to 1.
    """

    out: str
    """Folder for checkpoints, metrics and summary."""
    data: str
    """Folder with a folder of clips for each class, or a CSV file; "" = rendered camera motion."""
    init: str
    """Where the weights start: "" = random; one of our checkpoints (name or file), whose architecture the
    model takes; "imagenet" or a file (.pth) with a torchvision ResNet's weights, for the backbone."""
    pictures: str
    """Folder of photos to train on; "" = procedural pictures only."""
    held_out: str
    """Folder of photos never trained on, for the final evaluation; "" = procedural, of another seed."""
    resume: bool
    """Go on from the last checkpoint in ``out``."""
    device: str
    """``auto``, ``cpu``, ``cuda``, ``cuda:1`` ..."""

    model: Architecture
    """The network; ``num_classes`` follows from the data."""
    identity_blocks: bool
    """Residual branches start at zero; helps depth 50 and more."""
    gradient_checkpointing: bool
    """Compute each stage again in the backward pass: less memory, more time."""
    freeze_batch_norm: bool
    """Statistics, weights and biases of batch-norm stay as they started."""
    backbone_rate: Annotated[float, msgspec.Meta(ge=0, le=100)]
    """Learning rate of the backbone, as a part of the head's; 0 = it stays as it started."""
    keep_motion_weight: NonNegative
    """Of the loss that keeps dense motion of ``init`` as it was while the backbone learns without layered
    scenes."""

    minutes: NonNegative
    """Training time without compiling and validating; 0 = no limit."""
    steps: Count
    """Optimiser steps; 0 = no limit. The first limit that is reached ends the run."""
    patience: Count
    """End after this many validations in a row that were no better; 0 = never."""
    batch_size: AtLeastOne
    """Clips in a step, over all processes."""
    learning_rate: Positive
    """The highest, after the warm-up."""
    warmup_steps: Count
    """Steps of linear growth before the cosine."""
    weight_decay: NonNegative
    """Of weights; norms, biases and embeddings have none."""
    clip_norm: Positive
    """Largest norm of the gradient."""
    label_smoothing: Share
    """Of the cross entropy."""
    match_weight: NonNegative
    """Of the loss that asks the attention to look where each place was before (rendered clips only)."""
    ema_decay: Share
    """Of the averaged weights, those that are saved."""
    no_past_share: Share
    """Part of the samples that see the newest frame only, as the first of a stream does."""
    one_past_share: Share
    """Part of the samples that see only some of the past frames (of two: t-1)."""
    precision: Literal["auto", "fp32", "bf16", "fp16"]
    """``auto`` is bf16 on CUDA, else fp32."""
    compile: bool
    """On CUDA, use torch.compile for the backbone if it works there."""
    seed: Count
    """Of weights, pictures and motions."""

    scene: Scene
    """What disturbs rendered clips."""
    scene_batch_size: Count
    """Layered scenes in a step, over all processes, that dense motion learns from; 0 = none."""
    clips_every_steps: AtLeastOne
    """With scenes: labelled clips are learned from in every so many steps, the others are scenes alone."""
    scenes_ahead: Annotated[int, msgspec.Meta(ge=0, le=64)]
    """On CUDA, batches of scenes that a second process films while the first one trains; 0 = none."""
    scene_height: Annotated[int, msgspec.Meta(ge=64, le=1024, multiple_of=32)]
    """Of their pictures in pixels."""
    scene_width: Annotated[int, msgspec.Meta(ge=64, le=1024, multiple_of=32)]
    """Likewise."""
    scenes: LayeredScene
    """What they hold."""
    curriculum_share: Share
    """Part of the run in which slow motions are phased in; 0 = all speeds from the start."""
    min_speed: Positive
    """Lowest speed factor."""
    max_speed: Positive
    """Highest speed factor."""
    photo_share: Share
    """Part of the picture bank cut from photos, if there are any."""
    bank_count: AtLeastOne
    """Pictures held on the device."""
    redraw_every_steps: Count
    """Steps between two redraws of 32 pictures; 0 = never."""
    supersample: Annotated[int, msgspec.Meta(ge=1, le=16)]
    """Samples per pixel along each axis."""

    spacing_ms: NonNegative
    """Time between the frames of a window of ``data``; 0 = consecutive frames."""
    validation_share: Annotated[float, msgspec.Meta(gt=0, lt=1)]
    """Part of the clips of ``data`` kept for validation, where the data has no split of its own."""
    augment: bool
    """Vary place, size, light and noise of the clips of ``data``."""
    mirror: bool
    """And flip them left and right; only where that can't change a class."""
    windows_per_clip: Count
    """Of ``data``, in a validation; 0 = all, as in the final evaluation."""

    log_every_steps: AtLeastOne
    """Steps between two training lines of metrics.jsonl."""
    save_every_steps: AtLeastOne
    """Steps between two writes of last.pt."""
    validate_every_steps: AtLeastOne
    """Steps between two validations."""
    validate_samples: AtLeastOne
    """Clips of a validation (rendered only: fresh motions over training pictures)."""
    evaluate_samples: AtLeastOne
    """Clips per speed and control of the final evaluation (rendered only)."""

    def __post_init__(self) -> None:
        if self.minutes <= 0 and self.steps <= 0:
            raise ValueError("minutes or steps must be above 0: nothing else ends the training")
        for name, most in _LARGEST.items():
            if (value := getattr(self.model, name)) > most:
                raise ValueError(f"model.{name} must be at most {most}, not {value}")
        if self.pictures and self.held_out and realpath(self.pictures) == realpath(self.held_out):
            raise ValueError("held_out is the folder of pictures: give photos never trained on")
        if self.scene_batch_size and not self.model.motion:
            raise ValueError("scene_batch_size: layered scenes teach dense motion, so set model.motion too")
        if self.max_speed < self.min_speed:
            raise ValueError(f"max_speed ({self.max_speed}) is below min_speed ({self.min_speed})")

    def recipe(self) -> dict[str, Any]:
        """What the weights depend on: the options without folders, machine and intervals of output."""
        table: dict[str, Any] = msgspec.to_builtins(self)
        table["model"]["scales"] = list(self.model.scales)  # as JSON has it
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
    """Fills the options: the defaults, what ``init`` asks for, a file, single keys, then ``given``.

    Args:
        path: A TOML file; None for none.
        overrides: ``"key=value"`` each, as in ``model.depth=50``.
        given: Values by key that win over all others: those of the command line's own flags.

    Raises:
        ConfigError: An unreadable file, an unknown key, a wrong type or an impossible value, in one line.
        CheckpointError: There is no checkpoint of the name in ``init``.
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
    """Whether ``init`` names a checkpoint of this program, not weights of a torchvision ResNet."""
    return bool(init) and init != "imagenet" and Path(init).suffix not in (".pth", ".pt")


def _shipped(name: str) -> dict[str, Any]:
    return tomllib.loads(resources.files("configs").joinpath(name).read_text("utf-8"))


def _last(tables: Sequence[Mapping[str, Any]], key: str) -> Any:
    return next((table[key] for table in reversed(tables) if key in table), None)


def _check_model(table: Any) -> None:
    """Refuses unknown keys: msgspec ignores those of a dataclass."""
    known = {field.name for field in fields(Architecture)} - {"num_classes"}
    for name in table if isinstance(table, Mapping) else ():
        if name not in known:
            raise ConfigError(f"unknown key 'model.{name}'; all keys are in {_KEYS_IN}")
