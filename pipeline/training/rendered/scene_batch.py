"""Batches of layered scenes, and operations on their layers."""

from typing import NamedTuple

import torch
from torch import Tensor

from pipeline.training.rendered.scene_layers import Path, Shape


class Layer(NamedTuple):
    """One layer of ``n`` scenes.

    Attributes:
        shape: Outline of the layer.
        path: Motion of the layer.
        moves: 1 if it moves independently, ``(n,)``.
        shadow: Darkness, and offset x and y in radii of the layer, ``(n, 3)``.
    """

    shape: Shape
    path: Path
    moves: Tensor
    shadow: Tensor


class Scenes(NamedTuple):
    """A batch of scenes.

    Attributes:
        layers: From back to front.
        camera: Similarity from the scene to the screen, complex factor and offset, each ``(n, S, 2)``.
        skew: Rolling-shutter skew of the screen, x and y, ``(n, S, 2)``: lower rows are read later.
    """

    layers: list[Layer]
    camera: tuple[Tensor, Tensor]
    skew: Tensor

    def part(self, rows: slice, times: slice) -> "Scenes":
        """A subset of the scenes and times."""

        def shorter(x: Tensor) -> Tensor:
            return x[rows, times].contiguous()

        layers = [
            Layer(
                Shape(*(x[rows] for x in layer.shape)),
                _path([shorter(x) for x in layer.path[:4]], layer.path.wave[rows]),
                layer.moves[rows],
                layer.shadow[rows],
            )
            for layer in self.layers
        ]
        return Scenes(layers, (shorter(self.camera[0]), shorter(self.camera[1])), shorter(self.skew))


def _path(by_time: list[Tensor], wave: Tensor) -> Path:
    turn, shift, bend, scroll = by_time
    return Path(turn, shift, bend, scroll, wave)


def stacked(layers: list[Layer]) -> Layer:
    """Stacks layers of ``n`` scenes each along the batch dimension."""
    shape, path = (
        [torch.cat(parts) for parts in zip(*group, strict=True)]
        for group in ([layer.shape for layer in layers], [layer.path for layer in layers])
    )
    moves, shadow = (torch.cat([getattr(layer, name) for layer in layers]) for name in ("moves", "shadow"))
    return Layer(Shape(*shape), _path(path[:4], path[4]), moves, shadow)


def chunks(layer: Layer, count: int) -> list[Layer]:
    """Inverse of ``stacked``."""
    shapes, paths = (
        zip(*(x.chunk(count) for x in group), strict=True) for group in (layer.shape, layer.path)
    )
    rest = zip(layer.moves.chunk(count), layer.shadow.chunk(count), strict=True)
    return [
        Layer(Shape(*shape), _path([*path[:4]], path[4]), moves, shadow)
        for shape, path, (moves, shadow) in zip(shapes, paths, rest, strict=True)
    ]


def choose(first: Tensor, one: Layer, other: Layer) -> Layer:
    """``one`` where ``first`` is 1, else ``other``."""

    def pick(a: Tensor, b: Tensor) -> Tensor:
        return torch.where(first.view(-1, *(1,) * (a.ndim - 1)) > 0, a, b)

    return Layer(
        Shape(*map(pick, one.shape, other.shape)),
        Path(*map(pick, one.path, other.path)),
        pick(one.moves, other.moves),
        pick(one.shadow, other.shadow),
    )
