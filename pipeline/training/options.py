"""The options of a training run: one flat table, checked key by key."""

from dataclasses import asdict, dataclass, field, fields
from os.path import realpath
from typing import Any


@dataclass(frozen=True)
class FitOptions:
    """Everything a training run depends on. Durations and sizes carry their unit in the name.

    Attributes:
        out: folder for checkpoints, metrics and summary.
        data: folder with a folder of clips for each class, or a CSV; "" = rendered camera motion.
        init: where the weights start: "" = random; one of our checkpoints (name or file), whose shape the
            model takes; "imagenet" or a file (.pth) with a torchvision ResNet's weights, for the backbone.
        pictures: folder of photos to train on; "" = procedural pictures only.
        held_out: folder of photos never trained on, for the evaluation; "" = procedural, of another seed.
        resume: go on from ``out``'s last checkpoint.
        device: ``auto``, ``cpu``, ``cuda``, ``cuda:1`` ...
        depth: of the ResNet: 18, 34, 50 or 101.
        use_shared_weights: one backbone for all frames, or one for each time step.
        d_model: width of the attention.
        num_heads: attention heads.
        num_layers: attention layers.
        num_past: past frames that the newest one is compared with, 1 to 8.
        attention: ``match`` or the guide's ``plain``.
        tied_values: values are the keys: ``true``, ``false``, or ``auto`` (only with ``plain``).
        scales: stages that keys and values come from, among layer2, layer3, layer4.
        cbam_start: gates start open (``identity``) or as in the paper's code (``official``).
        head: what the classifier reads: the ``mean`` of all tokens, or each place apart (``grid``).
        identity_blocks: residual branches start at zero; helps depth 50 and more.
        gradient_checkpointing: compute each stage again in the backward pass: less memory, more time.
        freeze_batch_norm: statistics, weights and biases of batch-norm stay as they started.
        backbone_rate: learning rate of the backbone, as a part of the head's; 0 = it stays as it started.
        size_px: side of the square frames; where nobody gave it, that of ``init``'s checkpoint is taken.
        minutes: training time without compiling and validating; 0 = no limit.
        steps: optimiser steps; 0 = no limit. The first limit that is reached ends the run.
        patience: end after this many validations in a row that were no better; 0 = never.
        batch_size: clips in a step, over all processes.
        learning_rate: highest, after the warm-up.
        warmup_steps: of linear growth before the cosine.
        weight_decay: of weights; norms, biases, embeddings have none.
        clip_norm: largest gradient norm.
        label_smoothing: of the cross entropy.
        match_weight: of the loss that asks the attention to look where each place was before (rendered only).
        ema_decay: of the averaged weights, those that are saved.
        no_past_share: part of the samples that see the newest frame only.
        one_past_share: part of the samples that see only some of the past frames (of two: t-1).
        curriculum_share: part of the run in which slow motions are phased in; 0 = all speeds from the start.
        min_speed: lowest speed factor.
        max_speed: highest speed factor.
        photo_share: part of the picture bank cut from photos, if there are any.
        bank_count: pictures held on the device.
        redraw_every_steps: steps between two redraws of 32 pictures.
        supersample: samples per pixel along each axis.
        object_share: part of the samples with a moving object.
        scrolling_share: part with something whose content moves by itself, like water.
        overlay_share: part with burnt-in text.
        flat_share: part in which a piece of the scene has no texture.
        blur_share: part blurred by a short shake.
        dark_share: part in low light.
        compressed_share: part with the blocks of strong compression.
        spacing_ms: time between the frames of a window of ``data``; 0 = consecutive frames.
        validation_share: part of the clips of ``data`` that is kept for validation.
        augment: vary place, size, light and noise of the clips of ``data``.
        mirror: and flip them left and right; only where that can't change a class.
        windows_per_clip: of ``data``, in a validation; 0 = all, as in the final evaluation.
        precision: ``fp32``, ``bf16``, ``fp16``, or ``auto`` (bf16 on CUDA, else fp32).
        compile: on CUDA, use torch.compile for the backbone if it works there.
        seed: of weights, pictures and motions.
        log_every_steps: between two lines of metrics.jsonl.
        save_every_steps: between two writes of last.pt.
        validate_every_steps: between two validations.
        validate_samples: clips of a validation (rendered only: fresh motions over training pictures).
        evaluate_samples: clips per speed and control of the final evaluation (rendered only).
        written: no option: the names of those that somebody gave, even if it was their default.
    """

    out: str = "outputs/training"
    data: str = ""
    init: str = ""
    pictures: str = ""
    held_out: str = ""
    resume: bool = False
    device: str = "auto"
    depth: int = 18
    use_shared_weights: bool = True
    d_model: int = 256
    num_heads: int = 8
    num_layers: int = 1
    num_past: int = 2
    attention: str = "match"
    tied_values: str = "auto"
    scales: tuple[str, ...] = ("layer4",)
    cbam_start: str = "identity"
    head: str = "mean"
    identity_blocks: bool = False
    gradient_checkpointing: bool = False
    freeze_batch_norm: bool = False
    backbone_rate: float = 1.0
    size_px: int = 224
    minutes: float = 0.0
    steps: int = 0
    patience: int = 0
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
    scrolling_share: float = 0.0
    overlay_share: float = 0.3
    flat_share: float = 0.0
    blur_share: float = 0.0
    dark_share: float = 0.0
    compressed_share: float = 0.0
    spacing_ms: float = 0.0
    validation_share: float = 0.25
    augment: bool = True
    mirror: bool = False
    windows_per_clip: int = 0
    precision: str = "auto"
    compile: bool = True
    seed: int = 0
    log_every_steps: int = 20
    save_every_steps: int = 500
    validate_every_steps: int = 500
    validate_samples: int = 2048
    evaluate_samples: int = 4096
    written: frozenset[str] = field(default=frozenset(), repr=False, compare=False)

    def __post_init__(self) -> None:
        """Refuses what cannot work.

        Raises:
            ValueError: naming the key.
        """
        if self.minutes <= 0 and self.steps <= 0:
            raise ValueError("minutes or steps must be above 0: nothing else ends the training")
        for key, kind in OPTION_TYPES.items():
            value = getattr(self, key)
            if key in _SHARES:
                if not 0 <= value <= 1:
                    raise ValueError(f"{key} must be between 0 and 1, not {value}")
            elif key in _MAY_BE_ZERO:
                if not 0 <= value < float("inf"):
                    raise ValueError(f"{key} must not be below 0, not {value}")
            elif kind in (int, float) and not 0 < value < float("inf"):
                raise ValueError(f"{key} must be above 0, not {value}")
            elif key in _CHOICES and value not in _CHOICES[key]:
                raise ValueError(f"{key} must be {' or '.join(_CHOICES[key])}, not {value!r}")
        if self.num_past > 8:
            raise ValueError(f"num_past must be between 1 and 8, not {self.num_past}")
        if self.pictures and self.held_out and realpath(self.pictures) == realpath(self.held_out):
            raise ValueError("held_out is the folder of pictures: give photos never trained on")
        if self.max_speed < self.min_speed:
            raise ValueError(f"max_speed ({self.max_speed}) is below min_speed ({self.min_speed})")

    def recipe(self) -> dict[str, Any]:
        """What the weights depend on: the options without folders, machine and intervals of output."""
        recipe = {key: value for key, value in asdict(self).items() if key not in _NOT_RECIPE}
        return recipe | {"scales": list(self.scales)}


_NOT_RECIPE = {
    "out",
    "data",
    "pictures",
    "held_out",
    "resume",
    "device",
    "gradient_checkpointing",
    "compile",
    "log_every_steps",
    "save_every_steps",
    "validate_every_steps",
    "validate_samples",
    "evaluate_samples",
    "windows_per_clip",
    "written",
}
_MAY_BE_ZERO = {
    "match_weight",
    "minutes",
    "steps",
    "patience",
    "warmup_steps",
    "weight_decay",
    "backbone_rate",
    "redraw_every_steps",
    "spacing_ms",
    "windows_per_clip",
    "seed",
}
_CHOICES = {
    "attention": ("match", "plain"),
    "tied_values": ("auto", "true", "false"),
    "cbam_start": ("identity", "official"),
    "head": ("mean", "grid"),
    "precision": ("auto", "fp32", "bf16", "fp16"),
}
OPTION_TYPES: dict[str, type] = {
    option.name: type(option.default) for option in fields(FitOptions) if option.name != "written"
}
_SHARES = {key for key in OPTION_TYPES if key.endswith("_share")} | {"label_smoothing", "ema_decay"}

DATA_DEFAULTS: dict[str, Any] = {
    "init": "motion_resnet18",
    "freeze_batch_norm": True,
    "backbone_rate": 0.1,
    "steps": 120,
    "batch_size": 16,
    "warmup_steps": 10,
    "ema_decay": 0.95,
    "patience": 4,
    "spacing_ms": 100.0,
    "windows_per_clip": 8,
    "log_every_steps": 5,
    "save_every_steps": 40,
    "validate_every_steps": 40,
}
"""What `load_options` takes for one's own clips: minutes on a CPU, from the shipped checkpoint."""
