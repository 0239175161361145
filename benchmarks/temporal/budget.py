"""The budget that all variants of one comparison share."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch

from benchmarks.temporal.shape import Shape
from pipeline.base.camera_motions import CAMERA_MOTIONS
from pipeline.training.rendered.renderer import MotionRenderer, Scene

_HELD_OUT_SEED = 1_000_003


def _option(default: Any, about: str) -> Any:
    """A field with its help text."""
    return field(default=default, metadata={"help": about})


@dataclass(frozen=True)
class Budget:
    """Time, data and sizes: the options of ``python -m benchmarks.ablation``."""

    minutes: float = _option(1.0, "of training a variant, without building and evaluating; 0 = no limit")
    steps: int = _option(
        0, "of the optimiser; 0 = no limit; the first limit that is reached ends the training"
    )
    batch: int = _option(128, "clips in a step")
    rate: float = _option(1e-3, "highest learning rate, after the warm-up")
    warmup: int = _option(100, "steps of it")
    size: int = _option(192, "side of the frames in pixels, a multiple of 32")
    depth: int = _option(18, "of the ResNet")
    d_model: int = _option(256, "width of the attention")
    heads: int = _option(8, "of the attention")
    bank: int = _option(256, "pictures held at a time")
    samples: int = _option(2048, "clips of each evaluation")
    repeats: int = _option(30, "measurements of a streaming step")
    seed: int = _option(0, "of weights, pictures and motions")
    device: str = _option("cpu", "cpu or cuda")
    compile: bool = _option(False, "on cuda, compile the backbone where that works")
    disturbed: bool = _option(False, "train and score with all disturbances of the shipped recipe")
    keep: str = _option("", "folder for the state of runs, from which they go on")
    pictures: str = _option("", "folder of photos to train on; without it pictures are drawn")
    held_out: str = _option(
        "", "folder of photos never trained on; without it pictures of another seed are drawn"
    )

    def __post_init__(self) -> None:
        """Rejects invalid options.

        Raises:
            ValueError: naming the option.
        """
        if self.minutes <= 0 and self.steps <= 0:
            raise ValueError("minutes or steps must be above 0: nothing else ends the training")
        if self.size <= 0 or self.size % 32:
            raise ValueError(f"size {self.size}: must be a multiple of 32, so that the grids of stages nest")
        if self.batch < 2:
            raise ValueError(f"batch {self.batch}: batch-norm needs at least 2 clips")
        for name in ("samples", "repeats", "bank"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} {getattr(self, name)}: at least 1")
        for folder in (self.pictures, self.held_out):
            if folder and not Path(folder).is_dir():
                raise ValueError(f"no such folder of pictures: {folder}")
        if self.device.startswith("cuda") and not torch.cuda.is_available():
            raise ValueError("device cuda: torch sees no CUDA device here; choose cpu")

    @property
    def shape(self) -> Shape:
        """Sizes of the networks."""
        return Shape(len(CAMERA_MOTIONS), self.depth, self.size, self.d_model, self.heads)

    def held_out_clips(self, num_past: int, scene: Scene) -> MotionRenderer:
        """Renders clips of images not used in training; their motions do not depend on ``seed``."""
        return MotionRenderer(
            self.device,
            self.size,
            _HELD_OUT_SEED,
            Path(self.held_out) if self.held_out else None,
            num_past=num_past,
            photo_share=1.0,
            bank_count=self.bank,
            redraw_every=0,
            scene=scene,
        )
