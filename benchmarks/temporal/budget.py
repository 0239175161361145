"""What every variant of one comparison gets alike."""

from dataclasses import dataclass
from pathlib import Path

import torch

from benchmarks.temporal.shape import Shape
from pipeline.base.camera_motions import CAMERA_MOTIONS
from pipeline.training.rendered.renderer import MotionRenderer, Scene

_HELD_OUT_SEED = 1_000_003


@dataclass(frozen=True)
class Budget:
    """Time, data and sizes.

    Attributes:
        minutes: of training, without building and evaluating; 0 = no limit.
        steps: of the optimiser; 0 = no limit. The first limit that is reached ends the training.
        batch: clips in a step.
        rate: highest learning rate, after the warm-up.
        warmup: steps of it.
        size: side of the frames in pixels, a multiple of 32.
        depth: of the ResNet.
        d_model: width of the attention.
        heads: of the attention.
        bank: pictures held at a time.
        samples: clips of each evaluation.
        repeats: measurements of a streaming step.
        seed: of weights, pictures and motions.
        device: where everything runs.
        compile: on CUDA, compile the backbone where that works.
        disturbed: train with all disturbances of the shipped recipe, and score with them too.
        keep: folder for the state of runs, from which they can go on; "" = keep nothing.
        pictures: folder of photos to train on; "" = drawn pictures only.
        held_out: folder of photos never trained on; "" = drawn pictures of another seed.
    """

    minutes: float = 1.0
    steps: int = 0
    batch: int = 128
    rate: float = 1e-3
    warmup: int = 100
    size: int = 192
    depth: int = 18
    d_model: int = 256
    heads: int = 8
    bank: int = 256
    samples: int = 2048
    repeats: int = 30
    seed: int = 0
    device: str = "cpu"
    compile: bool = False
    disturbed: bool = False
    keep: str = ""
    pictures: str = ""
    held_out: str = ""

    def __post_init__(self) -> None:
        """Refuses what cannot work.

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
        """Films pictures that were never trained on; their motions do not depend on ``seed``."""
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
