"""Projections and attention for exported steps, from operators that CPUs run fast."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, cast

import torch
from torch import Tensor, nn

from pipeline.model.attention import AttentionLayer
from pipeline.model.positions import Positions
from pipeline.model.preprocessing import Size

if TYPE_CHECKING:
    from pipeline.model.network import TemporalKVQResNetCBAM
    from pipeline.model.resnet import ResNetCBAM


class ProjectedBackbone(nn.Module):
    """A backbone with projected outputs; all projections of a map are one 1x1 convolution.

    Args:
        backbone: The backbone.
        projections: By stage.
        pyramid: Computes the maps of dense motion, which are outputs too; None without dense motion.
    """

    def __init__(
        self, backbone: "ResNetCBAM", projections: dict[str, nn.Conv2d], pyramid: nn.Module | None
    ) -> None:
        super().__init__()
        self.backbone, self.projections, self.pyramid = backbone, nn.ModuleDict(projections), pyramid

    def features(self, images: Tensor, stages: Sequence[str]) -> dict[str, Tensor]:
        """Like ``ResNetCBAM.features``, but projected; stages without a projection are left out."""
        maps = self.backbone.features(images, stages)
        projected = {stage: projection(maps[stage]) for stage, projection in self.projections.items()}
        return projected if self.pyramid is None else projected | self.pyramid(maps)


class Columns(nn.Module):
    """Replaces a projection that the backbone already computes: selects its columns."""

    def __init__(self, first: int, last: int) -> None:
        super().__init__()
        self.first, self.last = first, last

    def forward(self, tokens: Tensor) -> Tensor:
        """Selects ``(B, S, D)`` from all columns, ``(B, S, all)``."""
        return tokens[..., self.first : self.last]


class FeedForwardOfMean(nn.Module):
    """The feed-forward of a layer whose tokens are only averaged afterwards.

    Its second product is linear, so it is applied once to the mean instead of to all positions.

    Args:
        feed_forward: Product, GELU, product.
    """

    def __init__(self, feed_forward: nn.Sequential) -> None:
        super().__init__()
        self.first, self.gelu, self.second = feed_forward

    def forward(self, tokens: Tensor) -> Tensor:
        """The mean over positions, ``(B, 1, D)``, for tokens ``(B, S, D)``."""
        mean: Tensor = self.second(self.gelu(self.first(tokens)).mean(dim=1, keepdim=True))
        return mean


class FixedPositions(nn.Module):
    """``Positions`` of one grid, so that the graph does not interpolate them in each step.

    Args:
        table: ``(rows * columns, D)``.
    """

    table: Tensor

    def __init__(self, table: Tensor) -> None:
        super().__init__()
        self.register_buffer("table", table)

    def forward(self, rows: int, columns: int) -> Tensor:
        """The table."""
        del rows, columns
        return self.table


@torch.no_grad()
def fix_positions(model: "TemporalKVQResNetCBAM", size: Size) -> None:
    """Replaces, in place, the positions of a model by those for frames of one size."""
    temporal, grid = model.temporal, model.architecture.grid
    tables = [
        FixedPositions(table(*grid(scale, size)))
        for table, scale in zip(temporal.there, temporal.scales, strict=True)
    ]
    temporal.here = cast(Positions, FixedPositions(temporal.here(*grid("layer4", size))))
    temporal.there = nn.ModuleList(tables)


def join_projections(model: "TemporalKVQResNetCBAM") -> None:
    """Moves, in place, keys, values, queries and appearance from the attention into the backbones."""
    temporal = model.temporal
    found: dict[str, list[nn.Linear]] = {stage: [] for stage in (*temporal.scales, "layer4")}

    def move(stage: str, projection: nn.Module) -> Columns:
        before = sum(one.out_features for one in found[stage])
        found[stage].append(cast(nn.Linear, projection))
        return Columns(before, before + found[stage][-1].out_features)

    layers = [cast(AttentionLayer, layer) for layer in temporal.layers]
    for layer in layers:
        for projections in filter(None, (layer.key, layer.value)):
            for number, stage in enumerate(temporal.scales):
                projections[number] = move(stage, projections[number])
    remembered = {stage: _joined(parts) for stage, parts in found.items() if parts}
    for layer in layers:
        layer.query.query_proj = cast(nn.Linear, move("layer4", layer.query.query_proj))
    temporal.appearance = cast(nn.Linear, move("layer4", temporal.appearance))
    asked = {stage: _joined(parts) for stage, parts in found.items()}
    *older, newest = (cast("ResNetCBAM", backbone) for backbone in model.backbones)
    pyramid = None if model.motion is None else model.motion.pyramid
    backbones = [ProjectedBackbone(backbone, remembered, None) for backbone in older]
    model.backbones = nn.ModuleList([*backbones, ProjectedBackbone(newest, asked, pyramid)])


def average_early(model: "TemporalKVQResNetCBAM") -> None:
    """Replaces, in place, the last feed-forward of a model that averages its tokens."""
    if model.temporal.head is None:
        last = cast(AttentionLayer, model.temporal.layers[-1])
        last.feed_forward = cast(nn.Sequential, FeedForwardOfMean(last.feed_forward))


@torch.no_grad()
def _joined(projections: Sequence[nn.Linear]) -> nn.Conv2d:
    weight = torch.cat([one.weight for one in projections])
    joined = nn.Conv2d(weight.shape[1], len(weight), kernel_size=1)
    joined.weight.copy_(weight[:, :, None, None])
    joined.bias = nn.Parameter(torch.cat([one.bias for one in projections]))
    return joined
