"""Renders layered scenes on the device: clips with dense ground truth."""

import math
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional as F

from pipeline.training.rendered.draw import uniform
from pipeline.training.rendered.encoded import encoded
from pipeline.training.rendered.layer_truth import LayerTruth, Truth, layer_truth, screen, truth_of
from pipeline.training.rendered.layered_scene import (
    FIRST_THING,
    MEMBERS,
    LayeredScene,
    random_scenes,
)
from pipeline.training.rendered.nuisance import burnt_in, compressed, dark, light_and_sensor, noisy
from pipeline.training.rendered.pictures import PictureBank, seeded
from pipeline.training.rendered.scene_batch import Layer, Scenes
from pipeline.training.rendered.scene_layers import before_skew, cover, to_layer, wave_at
from pipeline.training.rendered.weather import light_in_parts, rain, skipped_blocks

_BLUR_SAMPLES = 3
_REDRAW_EVERY = 4
_NOWHERE = 2.0  # a level above all waves


class SceneClips(NamedTuple):
    """A batch of clips with ground truth.

    Attributes:
        frames: RGB between 0 and 1, ``(n, T + 1, 3, height, width)``, oldest first.
        truth: Ground truth of the newest frame.
    """

    frames: Tensor
    truth: Truth


class SceneRenderer:
    """Renders random layered scenes.

    The random numbers of a batch depend only on the seed and the number of batches before it.

    Attributes:
        step: Batches rendered so far.
        bank: The images used as textures.
    """

    def __init__(
        self,
        device: torch.device | str,
        height: int,
        width: int,
        seed: int = 0,
        pictures: Path | None = None,
        *,
        num_past: int = 2,
        photo_share: float = 0.6,
        bank_count: int = 512,
        scene: LayeredScene | None = None,
        fused: bool = False,
    ) -> None:
        """Draws the image bank.

        Args:
            device: Device to render on.
            height: Frame height in pixels, a multiple of 32.
            width: Frame width in pixels, a multiple of 32.
            seed: Random seed.
            pictures: Folder of photos to mix in; None uses only procedural images.
            num_past: Past frames in a clip.
            photo_share: Share of the bank cropped from these photos.
            bank_count: Number of images in the bank.
            scene: Content of the scenes.
            fused: Compile the per-layer functions with torch.compile.
        """
        self.device, self.height, self.width = torch.device(device), height, width
        self.seed, self.num_past, self.scene = seed, num_past, scene or LayeredScene()
        self.step = 0
        self.bank = PictureBank(self.device, 2 * width, bank_count, seed, pictures, photo_share)
        self._paint: Callable[..., Tensor] = torch.compile(_paint, dynamic=False) if fused else _paint
        self._seen: LayerTruth = torch.compile(layer_truth, dynamic=False) if fused else layer_truth

    def seek(self, step: int) -> None:
        """Continues as if ``step`` batches had been rendered."""
        self.step = step
        self.bank.seek(step // _REDRAW_EVERY)

    @torch.no_grad()
    def clips(self, n: int) -> SceneClips:
        """Renders the next batch of ``n`` clips."""
        generator = seeded(self.device, self.seed, 5, self.step)
        device, samples, blurred = self.device, _BLUR_SAMPLES, round(n * self.scene.blur_share)
        whole = torch.arange(-self.num_past, 1, device=device, dtype=torch.float32)
        shutter = float(torch.rand((), generator=torch.Generator().manual_seed(self.seed * 7919 + self.step)))
        moments = (torch.arange(samples, device=device) - (samples - 1) / 2) * (0.05 + 0.3 * shutter)
        scenes = random_scenes(
            n, (whole[:, None] + moments).flatten(), self.height / self.width, self.scene, generator
        )
        sharp = slice((samples - 1) // 2, None, samples)
        truth = truth_of(scenes.part(slice(None), sharp), self.height, self.width, self._seen)
        parts = []
        for first, last, times in ((0, blurred, slice(None)), (blurred, n, sharp)):
            if first < last:
                painted = self._painted(scenes.part(slice(first, last), times), last - first, generator)
                parts.append(painted.view(last - first, len(whole), -1, *painted.shape[2:]).mean(dim=2))
        frames, covered = self._spoilt(torch.cat(parts), generator)
        truth = truth._replace(certain=truth.certain & ~covered, visible=truth.visible & ~covered[:, None])
        self.step += 1
        if self.step % _REDRAW_EVERY == 0:
            self.bank.redraw()
        return SceneClips(frames, truth)

    def _painted(self, scenes: Scenes, n: int, generator: torch.Generator) -> Tensor:
        times = scenes.camera[0].shape[1]
        frames = torch.zeros((n, times, 3, self.height, self.width), device=self.device)
        x, y = screen(self.height, self.width, 1, self.device)
        edge = uniform(generator, (n,), 0.7, 2.0) * 2 / self.width
        count = len(scenes.layers)
        choice = torch.randint(len(self.bank.pictures), (count, n), generator=generator, device=self.device)
        alike = uniform(generator, (count, n)) < 0.6
        looks = self._looks(n, count, generator)
        x, y = before_skew(scenes.skew, x, y)
        for number, layer in enumerate(scenes.layers):
            if number > FIRST_THING and (number - FIRST_THING) % MEMBERS:  # limbs mostly match their body
                choice[number] = torch.where(alike[number], choice[number - 1], choice[number])
            pictures = self.bank.pictures[choice[number]]
            if number:
                pictures = pictures[..., ::2, ::2]
            frames = self._paint(frames, layer, pictures, looks[number], x, y, edge)
        return frames

    def _looks(self, n: int, count: int, generator: torch.Generator) -> Tensor:
        """Placement and colouring of the textures, ``(count, n, 18)``.

        Zoom, rotation, position x and y, contrast, gain of three colours, shading x and y; then two waves,
        the level above which the layer loses its texture, and the contrast that remains there. The first
        layer is the background.
        """

        def drawn(low: float, high: float, numbers: int = 1) -> Tensor:
            return uniform(generator, (count, n, numbers), low, high)

        flat = (drawn(0, 1) < 0.35).float()
        contrast = torch.lerp(drawn(0.8, 1.2), drawn(0.05, 0.5), flat)
        zoom = drawn(math.log(0.4), math.log(1.3)).exp()
        gain = (drawn(-0.25, 0.25, 3) + drawn(-0.5, 0.35)).exp()
        turn, place, shading = drawn(0, 2 * math.pi), drawn(-0.6, 0.6, 2), drawn(-0.25, 0.25, 2)
        bare = drawn(0, 1) < self.scene.bare_share
        level = torch.where(bare, drawn(-1.1, 0.9), _NOWHERE)
        waves = []
        for _ in range(2):
            number = 2 * math.pi / drawn(math.log(0.25), math.log(3.0)).exp()
            angle = drawn(0, 2 * math.pi)
            waves += [number * angle.cos(), number * angle.sin(), drawn(0, 2 * math.pi)]
        left = drawn(0, 0.4).square()
        looks = torch.cat((zoom, turn, place, contrast, gain, shading, *waves, level, left), dim=2)
        looks[0, :, 0] = uniform(generator, (n,), math.log(0.4), math.log(0.75)).exp()
        looks[0, :, 1] = uniform(generator, (n,), -0.3, 0.3)
        looks[0, :, 2:4] *= 0.4
        looks[0, :, 4] = uniform(generator, (n,), 0.8, 1.2)
        looks[0, :, 5:8], looks[0, :, 8:10] = 1.0, 0.0
        return looks

    def _spoilt(self, frames: Tensor, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        """Frames with effects of weather, sensor and codec, and the positions covered by an overlay."""
        n, scene = len(frames), self.scene

        def some(share: float) -> Tensor:
            order = torch.randperm(n, generator=generator, device=self.device)
            return order[: round(n * share)]

        frames = light_in_parts(frames, generator)
        covered = torch.zeros((n, self.height // 4, self.width // 4), dtype=torch.bool, device=self.device)
        if len(rows := some(scene.rain_share)):
            frames[rows] = rain(frames[rows], generator)
        if len(rows := some(scene.overlay_share)):
            marked = burnt_in(frames[rows], generator)
            changed = (marked[:, -1] - frames[rows][:, -1]).abs().amax(dim=1, keepdim=True)
            covered[rows] = F.max_pool2d(changed, 4)[:, 0] > 0.02
            frames[rows] = marked
        if len(rows := some(scene.dark_share)):
            frames[rows] = dark(frames[rows], generator)
        frames = light_and_sensor(frames, generator)
        if len(rows := some(scene.noisy_share)):
            frames[rows] = noisy(frames[rows], generator)
        if len(rows := some(scene.compressed_share)):
            frames[rows] = compressed(frames[rows], generator)
        if len(rows := some(scene.skipped_share)):
            frames[rows] = skipped_blocks(frames[rows], generator)
        if len(rows := some(scene.encoded_share)):
            frames[rows] = encoded(frames[rows], generator)
        return frames, covered


def _paint(
    frames: Tensor, layer: Layer, pictures: Tensor, look: Tensor, x: Tensor, y: Tensor, edge: Tensor
) -> Tensor:
    """Paints one layer over frames ``(n, S, 3, H, W)``."""
    n, times, _, height, width = frames.shape
    u, v = to_layer(layer.path, x, y)
    alpha = cover(layer.shape, u, v, edge)
    zoom, turn, place_x, place_y, contrast = (look[:, i, None, None, None] for i in range(5))
    gain, shade = look[:, 5:8, None, None, None], look[:, 8:10, None, None, None]
    scroll = layer.path.scroll[..., None, None]
    s, t = u + scroll[:, :, 0], v + scroll[:, :, 1]
    cos, sin = torch.cos(turn) * zoom, torch.sin(turn) * zoom
    grid = torch.stack((cos * s - sin * t + place_x, sin * s + cos * t + place_y), dim=-1)
    colour = F.grid_sample(
        pictures.float() * (1 / 255), grid.flatten(1, 2), padding_mode="reflection", align_corners=False
    ).view(n, 3, times, height, width)
    level, left = look[:, 16, None, None, None], look[:, 17, None, None, None]
    bare = torch.sigmoid(12 * (wave_at(look[:, 10:16].view(n, 2, 3), u, v) - level))
    contrast = contrast * (1 - bare * (1 - left))
    mean = pictures[..., ::8, ::8].float().mean(dim=(2, 3)).view(n, 3, 1, 1, 1) * (1 / 255)
    size = layer.shape.radius.amax(dim=1).clamp_min(0.05)[:, None, None, None]
    shading = (shade[:, 0] * u + shade[:, 1] * v) / size
    colour = (mean + (colour - mean) * contrast[:, None]) * gain + shading[:, None]
    darkness, offset_x, offset_y = (layer.shadow[:, i, None, None, None] for i in range(3))
    radius = layer.shape.radius[..., None, None, None]
    lying = cover(
        layer.shape, u - offset_x * radius[:, 0] - 0.5 * v, 1.3 * v - offset_y * radius[:, 1], 6 * edge
    )
    shadowed = frames * (1 - darkness * lying)[:, :, None]
    return torch.lerp(shadowed, colour.clamp(0, 1).transpose(1, 2), alpha[:, :, None])
