"""Ground truth of a layered scene: correspondences, visibility and moving mask."""

from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional as F

from pipeline.training.rendered.scene_batch import Layer, Scenes
from pipeline.training.rendered.scene_layers import Path, after_skew, before_skew, cover, to_layer, to_screen

_MOVES_PX = 0.7  # own motion in the clip, in pixels at 192 px width, above which an object is moving
_PAST_STRIDE = 2  # pixels between the sampled positions of past frames


class Truth(NamedTuple):
    """Ground truth at the positions of the newest frame at stride 4, ``h x w``.

    Attributes:
        flow: Flow to each past frame, oldest first, ``(n, T, 2, h, w)`` in pixels.
        visible: Whether the position was visible there, ``(n, T, h, w)`` bool.
        moving: Whether it moves independently, ``(n, h, w)`` bool.
        certain: False where ``moving`` is ambiguous, ``(n, h, w)`` bool.
        owner: Number of the visible layer, ``(n, h, w)``.
        camera: Flow of the scene's main plane, ``(n, T, 2, h, w)`` in pixels.
    """

    flow: Tensor
    visible: Tensor
    moving: Tensor
    certain: Tensor
    owner: Tensor
    camera: Tensor


def screen(height: int, width: int, stride: int, device: torch.device) -> tuple[Tensor, Tensor]:
    """Coordinates of the centres of a grid in half widths: x ``(columns,)`` and y ``(rows, 1)``."""
    half = width / 2
    x = (torch.arange(width // stride, device=device) + 0.5) * stride / half - 1
    y = ((torch.arange(height // stride, device=device) + 0.5) * stride - height / 2) / half
    return x, y[:, None]


def truth_of(scenes: Scenes, height: int, width: int, layer_truth: "LayerTruth") -> Truth:
    """Computes the ground truth from the layers, without rendering.

    Args:
        scenes: Scenes at whole frames, the newest last.
        height: Frame height in pixels, a multiple of 4.
        width: Frame width in pixels, a multiple of 4.
        layer_truth: The function of this name, or its compiled version.
    """
    half = width / 2
    device = scenes.camera[0].device
    on_x, on_y = screen(height, width, 4, device)
    x, y = (place[:, 0] for place in before_skew(scenes.skew[:, -1:], on_x, on_y))
    camera = _camera_flow(scenes, x[:, None], y[:, None])
    n, rows, columns = len(camera), *x.shape[1:]
    flow, owner = torch.zeros_like(camera), torch.zeros((n, rows, columns), device=device)
    moving, far = torch.zeros_like(owner, dtype=torch.bool), torch.zeros_like(owner)
    past_x, past_y = before_skew(scenes.skew[:, :-1], *screen(height, width, _PAST_STRIDE, device))
    before = torch.zeros(past_x.shape, device=device)
    edge = torch.full((n,), 1 / half, device=device)
    for number, layer in enumerate(scenes.layers):
        seen, went, own, covered = layer_truth(layer, camera, x[:, None], y[:, None], past_x, past_y, edge)
        flow = torch.where(seen[:, None, None], went, flow)
        owner.masked_fill_(seen, float(number))
        moving = torch.where(seen, layer.moves[:, None, None] > 0, moving)
        far = torch.where(seen, own, far)
        before.masked_fill_(covered, float(number))
    threshold = _MOVES_PX / 96
    flow, camera = (_on_screen(scenes.skew[:, :-1], field, x, y, on_x, on_y) for field in (flow, camera))
    visible = _visible(flow, owner, before, on_x, on_y, height / width)
    certain = ~moving | (far > 1.3 * threshold) | (far < 0.5 * threshold)
    return Truth(flow * half, visible, moving & (far > threshold), certain, owner, camera * half)


def _camera_flow(scenes: Scenes, x: Tensor, y: Tensor) -> Tensor:
    """Flow of the scene's main plane, ``(n, T, 2, h, w)``, in half widths."""
    still = torch.zeros_like(scenes.camera[1])
    wave = torch.zeros((len(still), 2, 3), device=still.device)
    path = Path(*scenes.camera, still, still, wave)
    last = still.shape[1] - 1
    u, v = to_layer(path.at(last, last + 1), x, y)
    then_x, then_y = to_screen(path.at(0, last), u, v)
    return torch.stack((then_x - x, then_y - y), dim=2)


def _on_screen(skew: Tensor, flow: Tensor, x: Tensor, y: Tensor, on_x: Tensor, on_y: Tensor) -> Tensor:
    """Converts a flow between frames without rolling shutter to one between the skewed frames."""
    then_x, then_y = after_skew(skew, x[:, None] + flow[:, :, 0], y[:, None] + flow[:, :, 1])
    return torch.stack((then_x - on_x, then_y - on_y), dim=2)


LayerTruth = Callable[..., tuple[Tensor, Tensor, Tensor, Tensor]]


def layer_truth(
    layer: Layer, camera: Tensor, x: Tensor, y: Tensor, past_x: Tensor, past_y: Tensor, edge: Tensor
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Ground truth of one layer, all lengths in half widths.

    Args:
        layer: The layer at whole frames.
        camera: The camera's flow at the new frame's positions, ``(n, T, 2, h, w)``.
        x: X of these positions, ``(n, 1, h, w)``.
        y: Y of these positions.
        past_x: X of the sampled positions of the past frames, ``(n, T, rows, columns)``.
        past_y: Y of the sampled positions.
        edge: Width of an outline's edge, ``(n,)``.

    Returns:
        Where it covers the new frame ``(n, h, w)``, its flow ``(n, T, 2, h, w)``, its largest own motion
        ``(n, h, w)``, and where it covers the past frames.
    """
    last = layer.path.turn.shape[1] - 1
    now, then = layer.path.at(last, last + 1), layer.path.at(0, last)
    u, v = to_layer(now, x, y)
    seen = cover(layer.shape, u, v, edge)[:, 0] > 0.5
    scrolled = (now.scroll - then.scroll)[..., None, None]
    then_x, then_y = to_screen(then, u + scrolled[:, :, 0], v + scrolled[:, :, 1])
    went = torch.stack((then_x - x, then_y - y), dim=2)
    own = (went - camera).square().sum(dim=2).amax(dim=1).sqrt()
    u, v = to_layer(then, past_x, past_y)
    return seen, went, own, cover(layer.shape, u, v, edge) > 0.5


def _visible(flow: Tensor, owner: Tensor, before: Tensor, x: Tensor, y: Tensor, aspect: float) -> Tensor:
    """Whether the same layer is visible at the end of the flow, inside the frame."""
    n, past = flow.shape[:2]
    then_x, then_y = x + flow[:, :, 0], (y + flow[:, :, 1]) / aspect
    grid = torch.stack((then_x, then_y), dim=-1).flatten(0, 1)
    found = F.grid_sample(before.flatten(0, 1)[:, None], grid, mode="nearest", align_corners=False)
    inside = (then_x.abs() <= 1) & (then_y.abs() <= 1)
    return inside & (found.view(n, past, *owner.shape[1:]).round() == owner[:, None])
