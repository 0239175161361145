"""The options of a training run: one flat table, checked key by key."""

import tomllib
from collections.abc import Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any


@dataclass(frozen=True)
class FitOptions:
    """Everything a training run depends on. Durations and sizes carry their unit in the name.

    Attributes:
        out: folder for checkpoints, metrics and summary.
        pictures: folder of photos to train on; "" = procedural pictures only.
        held_out: folder of photos never trained on, for the evaluation; "" = procedural, of another seed.
        resume: go on from ``out``'s last checkpoint.
        device: ``auto``, ``cpu``, ``cuda``, ``cuda:1`` ...
        depth: of the ResNet: 18, 34, 50 or 101.
        d_model: width of the attention.
        num_heads: attention heads.
        num_layers: attention layers.
        attention: ``match`` or the guide's ``plain``.
        identity_blocks: residual branches start at zero; helps depth 50 and more.
        size_px: side of the square frames.
        minutes: training time without compiling and validating; 0 = no limit.
        steps: optimiser steps; 0 = no limit. The first limit that is reached ends the run.
        batch_size: triplets in a step.
        learning_rate: highest, after the warm-up.
        warmup_steps: of linear growth before the cosine.
        weight_decay: of weights; norms, biases, embeddings have none.
        clip_norm: largest gradient norm.
        label_smoothing: of the cross entropy.
        match_weight: of the loss that asks the attention to look where each place was before.
        ema_decay: of the averaged weights, those that are saved.
        no_past_share: part of the samples that see the newest frame only.
        one_past_share: part of the samples that see t-1 and t only.
        curriculum_share: part of the run in which slow motions are phased in; 0 = all speeds from the start.
        min_speed: lowest speed factor.
        max_speed: highest speed factor.
        photo_share: part of the picture bank cut from photos, if there are any.
        bank_count: pictures held on the device.
        redraw_every_steps: steps between two redraws of 32 pictures.
        supersample: samples per pixel along each axis.
        object_share: part of the samples with a moving object.
        overlay_share: part of the samples with burnt-in text.
        compile: use torch.compile if it works on this machine.
        bf16: bfloat16 autocast on CUDA.
        seed: of weights, pictures and motions.
        log_every_steps: between two lines of metrics.jsonl.
        save_every_steps: between two writes of last.pt.
        validate_every_steps: between two validations (fresh motions over training pictures).
        validate_samples: triplets of a validation.
        evaluate_samples: triplets per speed and control of the final evaluation.
    """

    out: str = "outputs/training"
    pictures: str = ""
    held_out: str = ""
    resume: bool = False
    device: str = "auto"
    depth: int = 18
    d_model: int = 256
    num_heads: int = 8
    num_layers: int = 1
    attention: str = "match"
    identity_blocks: bool = False
    size_px: int = 224
    minutes: float = 0.0
    steps: int = 0
    batch_size: int = 256
    learning_rate: float = 1e-3
    warmup_steps: int = 200
    weight_decay: float = 0.05
    clip_norm: float = 1.0
    label_smoothing: float = 0.02
    match_weight: float = 0.2
    ema_decay: float = 0.999
    no_past_share: float = 0.03
    one_past_share: float = 0.1
    curriculum_share: float = 0.0
    min_speed: float = 0.4
    max_speed: float = 2.0
    photo_share: float = 0.35
    bank_count: int = 512
    redraw_every_steps: int = 4
    supersample: int = 2
    object_share: float = 0.3
    overlay_share: float = 0.3
    compile: bool = True
    bf16: bool = True
    seed: int = 0
    log_every_steps: int = 20
    save_every_steps: int = 500
    validate_every_steps: int = 500
    validate_samples: int = 2048
    evaluate_samples: int = 4096

    def __post_init__(self) -> None:
        """Refuses what cannot work.

        Raises:
            ValueError: naming the key.
        """
        if self.minutes <= 0 and self.steps <= 0:
            raise ValueError("minutes or steps must be above 0: nothing else ends the training")
        positive = [
            key for key in _TYPES if _TYPES[key] in (int, float) and key not in _MAY_BE_ZERO | _SHARES
        ]
        for key in positive:
            if getattr(self, key) <= 0:
                raise ValueError(f"{key} must be above 0, not {getattr(self, key)}")
        for key in sorted(_SHARES):
            if not 0 <= getattr(self, key) <= 1:
                raise ValueError(f"{key} must be between 0 and 1, not {getattr(self, key)}")
        if self.attention not in ("match", "plain"):
            raise ValueError(f"attention must be match or plain, not {self.attention!r}")
        for key in sorted(_MAY_BE_ZERO):
            if getattr(self, key) < 0:
                raise ValueError(f"{key} must not be below 0, not {getattr(self, key)}")
        if self.max_speed < self.min_speed:
            raise ValueError(f"max_speed ({self.max_speed}) is below min_speed ({self.min_speed})")

    def recipe(self) -> dict[str, Any]:
        """What the weights depend on: the options without folders, machine and intervals of output."""
        return {key: value for key, value in asdict(self).items() if key not in _NOT_RECIPE}


_NOT_RECIPE = {
    "out",
    "pictures",
    "held_out",
    "resume",
    "device",
    "compile",
    "log_every_steps",
    "save_every_steps",
    "validate_every_steps",
    "validate_samples",
    "evaluate_samples",
}
_MAY_BE_ZERO = {
    "match_weight",
    "minutes",
    "steps",
    "warmup_steps",
    "weight_decay",
    "redraw_every_steps",
    "seed",
}
_TYPES: dict[str, type] = {field.name: type(field.default) for field in fields(FitOptions)}
_SHARES = {key for key in _TYPES if key.endswith("_share")} | {"label_smoothing", "ema_decay"}


def load_options(path: Path | None, overrides: Sequence[str] = ()) -> FitOptions:
    """Reads a TOML file of flat keys, then applies ``key=value`` overrides.

    Args:
        path: the file; None starts from the defaults.
        overrides: values in TOML notation; quotes around text may be left out.

    Raises:
        ValueError: unreadable file, unknown key, wrong type or impossible value, in one line.
    """
    table: dict[str, Any] = {}
    if path is not None:
        try:
            table = tomllib.loads(path.read_text(encoding="utf-8"))
        except (OSError, UnicodeDecodeError) as error:
            raise ValueError(f"cannot read {path}: {getattr(error, 'strerror', None) or error}") from None
        except tomllib.TOMLDecodeError as error:
            raise ValueError(f"{path}: {error}") from None
    for override in overrides:
        key, separator, text = override.partition("=")
        if not separator:
            raise ValueError(f"--set needs key=value, not {override!r}")
        table[key.strip()] = _parse(key.strip(), text.strip())
    return FitOptions(**{key: _checked(key, value) for key, value in table.items()})


def _parse(key: str, text: str) -> Any:
    if _TYPES.get(key) is str and not text.startswith(('"', "'")):
        return text
    try:
        return tomllib.loads(f"value = {text}")["value"]
    except tomllib.TOMLDecodeError:
        return text


def _checked(key: str, value: Any) -> Any:
    expected = _TYPES.get(key)
    if expected is None:
        raise ValueError(f"unknown training option {key!r}; known: {', '.join(sorted(_TYPES))}")
    if expected is float and type(value) is int:
        return float(value)
    if type(value) is not expected:
        names = {int: "a whole number", float: "a number", bool: "true or false", str: "text"}
        raise ValueError(f"{key} must be {names[expected]}, not {value!r}")
    return value
