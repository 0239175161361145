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

    minutes: float = _option(
        1.0, "training time for each variant, without building and evaluation; 0 = no limit"
    )
    steps: int = _option(0, "optimiser steps; 0 = no limit; training ends at the first limit that is reached")
    batch: int = _option(128, "clips per step")
    rate: float = _option(1e-3, "highest learning rate, after the warm-up")
    warmup: int = _option(100, "warm-up steps")
    size: int = _option(192, "side of the frames in pixels, a multiple of 32")
    depth: int = _option(18, "depth of the ResNet")
    d_model: int = _option(256, "width of the attention")
    heads: int = _option(8, "attention heads")
    bank: int = _option(256, "images held in memory at a time")
    samples: int = _option(2048, "clips in each evaluation")
    repeats: int = _option(30, "measurements of a streaming step")
    seed: int = _option(0, "random seed of weights, images and motions")
    device: str = _option("cpu", "cpu or cuda")
    compile: bool = _option(False, "on cuda, compile the backbone where possible")
    disturbed: bool = _option(False, "train and score with all disturbances of the shipped recipe")
    keep: str = _option("", "folder for the state of runs, so that they can be resumed")
    pictures: str = _option("", "folder of photos to train on; default: rendered images")
    held_out: str = _option(
        "", "folder of photos not used in training; default: images rendered with another seed"
    )

    def __post_init__(self) -> None:
        """Rejects invalid options.

        Raises:
            ValueError: An option is invalid; the message names it.
        """
        if self.minutes <= 0 and self.steps <= 0:
            raise ValueError("minutes or steps must be above 0: otherwise the training would not end")
        if self.size <= 0 or self.size % 32:
            raise ValueError(f"size {self.size}: must be a multiple of 32")
        if self.batch < 2:
            raise ValueError(f"batch {self.batch}: must be at least 2, because of batch normalisation")
        for name in ("samples", "repeats", "bank"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} {getattr(self, name)}: must be at least 1")
        for folder in (self.pictures, self.held_out):
            if folder and not Path(folder).is_dir():
                raise ValueError(f"{folder}: no such folder of images")
        if self.device.startswith("cuda") and not torch.cuda.is_available():
            raise ValueError("device cuda: torch finds no CUDA device; use cpu")

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
