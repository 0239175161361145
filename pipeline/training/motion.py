"""Nine camera motions, filmed from still pictures on the device.

Labels name what the **camera** does: ``pan_right`` turns it right, so the content moves left; ``tilt_up``
moves the content down; ``zoom_in`` makes it grow; ``roll_cw`` turns it counter-clockwise.
"""

import math
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor
from torch.nn import functional as F

from pipeline.training.draw import uniform
from pipeline.training.nuisance import burnt_in, light_and_sensor, moving_objects
from pipeline.training.pictures import PictureBank, seeded
from pipeline.training.samples import Clips, normalise

LABELS = (
    "static",
    "pan_left",
    "pan_right",
    "tilt_up",
    "tilt_down",
    "zoom_in",
    "zoom_out",
    "roll_cw",
    "roll_ccw",
)
REVERSE = (0, 2, 1, 4, 3, 6, 5, 8, 7)

# Motion of the camera's window: right, down, growth of its size, clockwise turn.
_DIRECTION = torch.tensor(
    [
        [0, 0, 0, 0],
        [-1, 0, 0, 0],
        [1, 0, 0, 0],
        [0, -1, 0, 0],
        [0, 1, 0, 0],
        [0, 0, -1, 0],
        [0, 0, 1, 0],
        [0, 0, 0, 1],
        [0, 0, 0, -1],
    ],
    dtype=torch.float32,
)
# Reference range per pair of frames: half widths (3-10 % of the width), log scale, radians.
_SLOWEST = torch.tensor([0.06, 0.06, math.log(1.04), math.radians(3)])
_FASTEST = torch.tensor([0.20, 0.20, math.log(1.12), math.radians(9)])


def reverse_label(labels: Tensor) -> Tensor:
    """The labels of the same clips played backwards."""
    return torch.tensor(REVERSE, device=labels.device)[labels]


@dataclass(frozen=True)
class Scene:
    """How hard the rendered clips are.

    Attributes:
        object_share: part of the samples with a moving foreground object.
        overlay_share: part of the samples with a burnt-in logo or text.
        sensor: vary light, colour, noise and sharpness from frame to frame.
        side_motion: largest other motion beside the labelled one, against that one's own reference speed.
        shake_px: hand-shake of every sample, the static ones too (standard deviation).
    """

    object_share: float = 0.3
    overlay_share: float = 0.3
    sensor: bool = True
    side_motion: float = 0.12
    shake_px: float = 0.15


class MotionRenderer:
    """Films random triplets of frames with known camera motion.

    The randomness of a batch depends on the seed and the number of batches before it alone: `seek` goes to
    any point of the sequence.

    Attributes:
        labels: names of the motions.
        step: batches rendered so far.
        bank: the pictures that are filmed.
    """

    labels = LABELS

    def __init__(
        self,
        device: torch.device | str,
        size: int = 224,
        seed: int = 0,
        pictures: Path | None = None,
        *,
        photo_share: float = 0.35,
        bank_count: int = 512,
        redraw_every: int = 4,
        supersample: int = 2,
        scene: Scene = Scene(),
        speeds: tuple[float, float] = (0.4, 2.0),
    ) -> None:
        """Draws the picture bank.

        Args:
            device: where everything is rendered.
            size: side of the frames in pixels; the pictures are twice as large.
            seed: of everything random here.
            pictures: folder of photos to mix in; None films procedural pictures only.
            photo_share: part of the bank cut from these photos.
            bank_count: pictures held at a time.
            redraw_every: batches between two redraws of 32 pictures; 0 = never.
            supersample: samples per pixel along each axis, against aliasing.
            scene: disturbances.
            speeds: lowest and highest speed factor, drawn evenly in log.
        """
        self.device = torch.device(device)
        self.size, self.seed, self.scene, self.speeds = size, seed, scene, speeds
        self.redraw_every, self.supersample = redraw_every, supersample
        self.step = 0
        self.bank = PictureBank(self.device, 2 * size, bank_count, seed, pictures, photo_share)

    def seek(self, step: int) -> None:
        """Goes on as if ``step`` batches had been rendered."""
        self.step = step
        self.bank.seek(step // self.redraw_every if self.redraw_every else 0)

    def batch(self, n: int, speed: float | None = None) -> tuple[Tensor, Tensor]:
        """Renders the next samples: frames and labels of ``clips``."""
        return self.clips(n, speed)[:2]

    @torch.no_grad()
    def clips(self, n: int, speed: float | None = None) -> Clips:
        """Renders the next samples.

        Args:
            n: samples.
            speed: speed factor of all samples; None draws one for each from ``speeds``.

        Returns:
            The samples.
        """
        generator = seeded(self.device, self.seed, 2, self.step)
        labels = torch.randint(len(LABELS), (n,), generator=generator, device=self.device)
        windows = self._windows(labels, speed, generator)
        frames = self._film(windows, generator)
        # Samples are independent of their place in the batch, so the first ones can be the disturbed ones.
        crossed = round(n * self.scene.object_share)
        if crossed:
            textures = self.bank.pictures[self._choose(crossed, generator)]
            frames[:crossed] = moving_objects(frames[:crossed], textures, generator)
        marked = round(n * self.scene.overlay_share)
        if marked:
            some = torch.randperm(n, generator=generator, device=self.device)[:marked]
            frames[some] = burnt_in(frames[some], generator)
        if self.scene.sensor:
            frames = light_and_sensor(frames, generator)
        self.step += 1
        if self.redraw_every and self.step % self.redraw_every == 0:
            self.bank.redraw()
        return Clips(normalise(frames), labels, windows)

    def _choose(self, n: int, generator: torch.Generator) -> Tensor:
        return torch.randint(len(self.bank.pictures), (n,), generator=generator, device=self.device)

    def _film(self, windows: Tensor, generator: torch.Generator) -> Tensor:
        n, side = len(windows), self.size * self.supersample
        grid = F.affine_grid(windows.flatten(0, 1), [3 * n, 3, side, side], align_corners=False)
        pictures = self.bank.pictures[self._choose(n, generator)].float().div_(255)
        filmed = F.grid_sample(
            pictures, grid.view(n, 3 * side, side, 2), padding_mode="reflection", align_corners=False
        )
        if self.supersample > 1:
            filmed = F.avg_pool2d(filmed, self.supersample)
        return filmed.view(n, 3, 3, self.size, self.size).transpose(1, 2).contiguous()

    def _windows(self, labels: Tensor, speed: float | None, generator: torch.Generator) -> Tensor:
        """Where in its picture each frame looks: affine maps ``(n, 3, 2, 3)`` from screen to picture.

        The pose of the middle frame does not depend on the label, nor does the room that is left around it,
        and the motion runs evenly to both sides of it.
        """
        n, device = len(labels), self.device
        factor = torch.full((n, 1), 1.0 if speed is None else speed, device=device)
        if speed is None:
            low, high = (math.log(bound) for bound in self.speeds)
            factor = uniform(generator, (n, 1), low, high).exp()
        slowest, fastest = _SLOWEST.to(device), _FASTEST.to(device)
        reference = slowest * (fastest / slowest) ** uniform(generator, (n, 1)) * factor
        direction = _DIRECTION.to(device)[labels]
        moves = direction.abs().sum(dim=1, keepdim=True)
        side = uniform(generator, (n, 4), -1, 1) * self.scene.side_motion * (moves - direction.abs())
        velocity = (direction + side) * reference
        acceleration = uniform(generator, (n, 1, 1), -0.3, 0.3)
        time = torch.tensor([-1.0, 0.0, 1.0], device=device).view(1, 3, 1)
        time = time * (1 + time * acceleration)
        shake = torch.randn((n, 3, 4), generator=generator, device=device).clamp(-2, 2)
        shake = shake * (self.scene.shake_px * 2 / self.size)
        shift_x, shift_y, growth, turn = (velocity.unsqueeze(1) * time + shake).unbind(dim=-1)

        # Real frames are squashed to a square, so a roll is a pure rotation only after unsquashing them.
        squash = uniform(generator, (n, 1), math.log(0.7) / 2, math.log(1.4) / 2).exp()
        pose = uniform(generator, (n, 1), math.radians(-15), math.radians(15))
        room = (1 + 1.3 * reference.amax(dim=1, keepdim=True)) * (pose.cos() + pose.sin().abs())
        room = room * torch.maximum(squash, 1 / squash)
        window = uniform(generator, (n, 1), math.log(0.35), math.log(0.62)).exp()
        window = torch.minimum(window, 0.98 / room)
        centre = uniform(generator, (2, n, 1), -1, 1) * (1 - window * room)
        mirror = (uniform(generator, (2, n, 1)) < 0.5).float() * 2 - 1

        # screen -> unsquash -> camera's own motion -> pose and mirror of the scene -> picture
        moved = _matrix(growth.exp() * turn.cos(), -growth.exp() * turn.sin()) @ _diagonal(squash, 1 / squash)
        moved = torch.cat(
            (moved, torch.stack((squash * shift_x, shift_y / squash), -1).unsqueeze(-1)), dim=-1
        )
        scene = _diagonal(*mirror) @ _matrix(window * pose.cos(), -window * pose.sin())
        theta = scene.expand(n, 3, 2, 2) @ moved
        theta[..., 2] += torch.stack((centre[0], centre[1]), dim=-1)
        return theta


def _matrix(a: Tensor, b: Tensor) -> Tensor:
    """``[[a, b], [-b, a]]``: a rotation with a scale."""
    return torch.stack((torch.stack((a, b), -1), torch.stack((-b, a), -1)), -2)


def _diagonal(a: Tensor, b: Tensor) -> Tensor:
    zero = torch.zeros_like(a)
    return torch.stack((torch.stack((a, zero), -1), torch.stack((zero, b), -1)), -2)
