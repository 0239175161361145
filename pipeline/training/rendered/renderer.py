"""Renders nine camera motions over still images on the device.

Labels name the motion of the **camera**: ``pan_right`` moves the content left, ``tilt_up`` moves it down,
``zoom_in`` enlarges it, ``roll_cw`` rotates it counter-clockwise.
"""

import math
from pathlib import Path
from typing import Annotated

import msgspec
import torch
from torch import Tensor
from torch.nn import functional as F

from pipeline.base.camera_motions import CAMERA_MOTIONS
from pipeline.training.rendered.draw import uniform
from pipeline.training.rendered.nuisance import (
    burnt_in,
    compressed,
    dark,
    flat_parts,
    light_and_sensor,
    moving_objects,
    scrolling_parts,
)
from pipeline.training.rendered.pictures import PictureBank, seeded
from pipeline.training.samples import Clips

Share = Annotated[float, msgspec.Meta(ge=0, le=1)]
"""A share from 0 to 1."""
REVERSE = (0, 2, 1, 4, 3, 6, 5, 8, 7)

# Motion of the camera's window: right, down, growth, clockwise rotation.
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
SLOWEST = (0.03, 0.03, math.log(1.04), math.radians(3))
FASTEST = (0.10, 0.10, math.log(1.12), math.radians(9))
"""Maximum motion between two frames at speed 1: shares of width and height, log scale, radians."""
SPEEDS = (0.4, 2.0)
"""Lowest and highest speed, as multiples of ``FASTEST``."""
ACCELERATION = 0.3
"""Maximum relative deviation of the speed of the first and last interval from the mean."""
POSE = math.radians(15)
"""Maximum rotation of the camera relative to the scene, in radians."""
_SCREEN = torch.tensor([2.0, 2.0, 1.0, 1.0])  # a screen is two units wide and high


def reverse_label(labels: Tensor) -> Tensor:
    """The labels of the same clips played backwards."""
    return torch.tensor(REVERSE, device=labels.device)[labels]


class Scene(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Disturbances of the rendered clips."""

    object_share: Share = 0.3
    """Share of samples to which a moving object is added. Independently, another one is added to half that
    share, and another to a quarter of it."""
    scrolling_share: Share = 0.0
    """Share of samples with a region whose content moves, like a screen, water or leaves in the wind."""
    overlay_share: Share = 0.3
    """Share of samples with a burnt-in logo or text."""
    flat_share: Share = 0.0
    """Share of samples in which part of the scene has no texture."""
    blur_share: Share = 0.0
    """Share of samples blurred by a short shake in a direction independent of the labelled motion."""
    dark_share: Share = 0.0
    """Share of samples in low light, with the noise of an amplified sensor."""
    compressed_share: Share = 0.0
    """Share of samples with blocking artefacts of strong compression."""
    sensor: bool = True
    """Vary light, colour, noise and sharpness from frame to frame."""
    side_motion: Share = 0.12
    """Maximum of the motions other than the labelled one, relative to the reference speed of each."""
    shake_px: Annotated[float, msgspec.Meta(ge=0, le=100)] = 0.15
    """Standard deviation, in pixels, of the hand shake of every sample, including static ones."""


USUAL = Scene()


class MotionRenderer:
    """Renders random clips of ``num_past + 1`` frames with known camera motion.

    The random numbers of a batch depend only on the seed and the number of batches before it: `seek` goes to
    any point of the sequence.

    Attributes:
        labels: Names of the motions.
        step: Batches rendered so far.
        bank: The source images.
    """

    labels = CAMERA_MOTIONS

    def __init__(
        self,
        device: torch.device | str,
        size: int = 224,
        seed: int = 0,
        pictures: Path | None = None,
        *,
        num_past: int = 2,
        photo_share: float = 0.35,
        bank_count: int = 512,
        redraw_every: int = 4,
        supersample: int = 2,
        scene: Scene = USUAL,
        speeds: tuple[float, float] = SPEEDS,
    ) -> None:
        """Draws the image bank.

        Args:
            device: Device to render on.
            size: Side of the frames in pixels; the images are twice as large.
            seed: Random seed.
            pictures: Folder of photos to mix in; None uses only procedural images.
            num_past: Past frames in a clip.
            photo_share: Share of the bank cropped from these photos.
            bank_count: Number of images in the bank.
            redraw_every: Batches between two redraws of 32 images; 0 = never.
            supersample: Samples per pixel along each axis, against aliasing.
            scene: Disturbances.
            speeds: Lowest and highest speed factor, drawn log-uniformly.
        """
        self.device = torch.device(device)
        self.size, self.seed, self.scene, self.speeds = size, seed, scene, speeds
        self.num_past, self.redraw_every, self.supersample = num_past, redraw_every, supersample
        self.step = 0
        self.bank = PictureBank(self.device, 2 * size, bank_count, seed, pictures, photo_share)

    def seek(self, step: int) -> None:
        """Continues as if ``step`` batches had been rendered."""
        self.step = step
        self.bank.seek(step // self.redraw_every if self.redraw_every else 0)

    def batch(self, n: int, speed: float | None = None) -> tuple[Tensor, Tensor]:
        """Renders the next samples; returns only the frames and labels of ``clips``."""
        return self.clips(n, speed)[:2]

    @torch.no_grad()
    def clips(self, n: int, speed: float | None = None) -> Clips:
        """Renders the next samples.

        Args:
            n: Number of samples.
            speed: Speed factor of all samples; None draws one for each from ``speeds``.

        Returns:
            The samples.
        """
        generator = seeded(self.device, self.seed, 2, self.step)
        labels = torch.randint(len(CAMERA_MOTIONS), (n,), generator=generator, device=self.device)
        windows = self._windows(labels, speed, generator)
        frames = self._film(windows, generator)
        scene = self.scene
        for some in self._some(n, scene.flat_share, generator):
            frames[some] = flat_parts(frames[some], windows[some], generator)
        for some in self._some(n, scene.scrolling_share, generator):
            textures = self._pictures(len(some), generator)
            frames[some] = scrolling_parts(frames[some], textures, windows[some], generator)
        for part in (1, 2, 4):
            for some in self._some(n, scene.object_share / part, generator):
                frames[some] = moving_objects(frames[some], self._pictures(len(some), generator), generator)
        for some in self._some(n, scene.overlay_share, generator):
            frames[some] = burnt_in(frames[some], generator)
        for some in self._some(n, scene.dark_share, generator):
            frames[some] = dark(frames[some], generator)
        if scene.sensor:
            frames = light_and_sensor(frames, generator)
        for some in self._some(n, scene.compressed_share, generator):
            frames[some] = compressed(frames[some], generator)
        self.step += 1
        if self.redraw_every and self.step % self.redraw_every == 0:
            self.bank.redraw()
        return Clips(frames, labels, windows)

    def _some(self, n: int, share: float, generator: torch.Generator) -> list[Tensor]:
        """Indices of the samples to disturb: a list of one tensor, or an empty list."""
        count = round(n * share)
        return [torch.randperm(n, generator=generator, device=self.device)[:count]] if count else []

    def _pictures(self, n: int, generator: torch.Generator) -> Tensor:
        choice = torch.randint(len(self.bank.pictures), (n,), generator=generator, device=self.device)
        return self.bank.pictures[choice]

    def _film(self, windows: Tensor, generator: torch.Generator) -> Tensor:
        """Frames ``(n, T + 1, 3, size, size)``: each the mean of several samples per pixel.

        With a shake the samples also lie along a short line, as if taken one after the other.
        """
        n, length, side = len(windows), self.num_past + 1, self.size
        pictures = self._pictures(n, generator).float().div_(255)
        blurred = (uniform(generator, (n, 1, 1)) < self.scene.blur_share).float()
        angle = uniform(generator, (n, length), 0, 2 * math.pi)
        shake = torch.stack((angle.cos(), angle.sin()), dim=-1) * blurred
        shake = shake * uniform(generator, (n, length, 1), 0, 4 / 96)  # half widths: up to 4 px of 192
        places = [(2 * i + 1 - self.supersample) / self.supersample for i in range(self.supersample)]
        spots = torch.cartesian_prod(torch.tensor(places), torch.tensor(places)).to(self.device) / side
        # ordered so that consecutive samples are not adjacent within the pixel
        times = (torch.arange(len(spots), device=self.device) * 3 % len(spots) + 0.5) / len(spots) - 0.5
        total = torch.zeros((n, 3, length * side, side), device=self.device)
        for spot, time in zip(spots, times, strict=True):
            moved = windows.clone()
            moved[..., 2] += (windows[..., :2] @ (spot + time * shake).unsqueeze(-1)).squeeze(-1)
            grid = F.affine_grid(moved.flatten(0, 1), [n * length, 3, side, side], align_corners=False)
            total += F.grid_sample(
                pictures, grid.view(n, length * side, side, 2), padding_mode="reflection", align_corners=False
            )
        return (total / len(spots)).view(n, 3, length, side, side).transpose(1, 2).contiguous()

    def _windows(self, labels: Tensor, speed: float | None, generator: torch.Generator) -> Tensor:
        """The view of each frame: affine maps ``(n, T + 1, 2, 3)`` from screen to image.

        The distributions of the pose at the middle of the clip and of the margin around it do not depend on
        the label, and the motion is centred on the middle.
        """
        n, device = len(labels), self.device
        factor = torch.full((n, 1), 1.0 if speed is None else speed, device=device)
        if speed is None:
            low, high = (math.log(bound) for bound in self.speeds)
            factor = uniform(generator, (n, 1), low, high).exp()
        slowest, fastest = ((torch.tensor(x) * _SCREEN).to(device) for x in (SLOWEST, FASTEST))
        reference = slowest * (fastest / slowest) ** uniform(generator, (n, 1)) * factor
        direction = _DIRECTION.to(device)[labels]
        moves = direction.abs().sum(dim=1, keepdim=True)
        side = uniform(generator, (n, 4), -1, 1) * self.scene.side_motion * (moves - direction.abs())
        velocity = (direction + side) * reference
        acceleration = uniform(generator, (n, 1, 1), -ACCELERATION, ACCELERATION)
        half = self.num_past / 2
        time = torch.linspace(-half, half, self.num_past + 1, device=device).view(1, -1, 1)
        time = time * (1 + time / half * acceleration)
        shake = torch.randn((n, self.num_past + 1, 4), generator=generator, device=device).clamp(-2, 2)
        shake = shake * (self.scene.shake_px * 2 / self.size)
        shift_x, shift_y, growth, turn = (velocity.unsqueeze(1) * time + shake).unbind(dim=-1)

        # Real frames are stretched to a square, so a roll is a pure rotation only after undoing that.
        squash = uniform(generator, (n, 1), math.log(0.7) / 2, math.log(1.4) / 2).exp()
        pose = uniform(generator, (n, 1), -POSE, POSE)
        room = (1 + 1.3 * half * reference.amax(dim=1, keepdim=True)) * (pose.cos() + pose.sin().abs())
        room = room * torch.maximum(squash, 1 / squash)
        window = uniform(generator, (n, 1), math.log(0.35), math.log(0.62)).exp()
        window = torch.minimum(window, 0.98 / room)
        centre = uniform(generator, (2, n, 1), -1, 1) * (1 - window * room)
        mirror = (uniform(generator, (2, n, 1)) < 0.5).float() * 2 - 1

        # screen -> undo the stretch -> camera's own motion -> pose and mirror of the scene -> image
        moved = _matrix(growth.exp() * turn.cos(), -growth.exp() * turn.sin()) @ _diagonal(squash, 1 / squash)
        moved = torch.cat(
            (moved, torch.stack((squash * shift_x, shift_y / squash), -1).unsqueeze(-1)), dim=-1
        )
        scene = _diagonal(*mirror) @ _matrix(window * pose.cos(), -window * pose.sin())
        theta = scene.expand(n, self.num_past + 1, 2, 2) @ moved
        theta[..., 2] += torch.stack((centre[0], centre[1]), dim=-1)
        return theta


def _matrix(a: Tensor, b: Tensor) -> Tensor:
    """``[[a, b], [-b, a]]``: a rotation with a scale."""
    return torch.stack((torch.stack((a, b), -1), torch.stack((-b, a), -1)), -2)


def _diagonal(a: Tensor, b: Tensor) -> Tensor:
    zero = torch.zeros_like(a)
    return torch.stack((torch.stack((a, zero), -1), torch.stack((zero, b), -1)), -2)
