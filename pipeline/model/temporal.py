"""From feature maps to logits: projections, attention layers and head."""

from collections.abc import Mapping
from typing import NamedTuple, cast

import torch
from torch import Tensor, nn

from pipeline.model.architecture import Architecture
from pipeline.model.attention import AttentionLayer
from pipeline.model.head import GridHead
from pipeline.model.positions import Positions

Features = dict[str, Tensor]
"""Feature maps ``(B, channels, rows, columns)`` by the name of their stage."""


class Attended(NamedTuple):
    """Result of the attention, with the tensors of its last layer.

    Attributes:
        logits: ``(B, num_classes)``.
        query: ``Q``, ``(B, S, D)``.
        found: Output of the attention, ``(B, S, D)``.
        weights: Mean over heads, ``(B, S, T * S_k)``.
        projections: Appearance, then the unrefined query of each layer, each ``(B, S, D)``. Logits and
            weights depend only on these and the past.
    """

    logits: Tensor
    query: Tensor
    found: Tensor
    weights: Tensor
    projections: tuple[Tensor, ...]


class TemporalAttention(nn.Module):
    """Attention layers over the past, a mean over positions or a ``GridHead``, and a linear classifier.

    Each token starts as its position embedding plus a learned projection of its appearance (initially
    zero); each layer adds the attention output.

    Args:
        architecture: The network's options.
        channels: Channels of the backbone, by stage.
    """

    def __init__(self, architecture: Architecture, channels: Mapping[str, int]) -> None:
        super().__init__()
        dim, heads, self.scales = architecture.d_model, architecture.num_heads, architecture.scales
        self.here = Positions(architecture.grid("layer4"), dim, heads)
        self.there = nn.ModuleList(Positions(architecture.grid(scale), dim, heads) for scale in self.scales)
        self.layers = nn.ModuleList(
            AttentionLayer(
                channels["layer4"],
                [channels[scale] for scale in self.scales],
                dim,
                heads,
                architecture.num_past,
                kind=architecture.attention,
                tied_values=bool(architecture.tied_values),
                first=number == 0,
            )
            for number in range(architecture.num_layers)
        )
        self.appearance = nn.Linear(channels["layer4"], dim)
        nn.init.zeros_(self.appearance.weight)
        self.head = GridHead(dim) if architecture.head == "grid" else None
        self.classifier = nn.Linear(self.head.width if self.head else dim, architecture.num_classes)

    def project(self, features: Features) -> tuple[Tensor, Tensor]:
        """Keys and values of a past frame, ``(B, L, S_k, D)``; with tied values the same tensor twice."""
        flat = [_flatten(features[scale]) for scale in self.scales]
        pairs = [cast(AttentionLayer, layer).project(flat) for layer in self.layers]
        keys = torch.stack([keys for keys, _ in pairs], dim=1)
        if pairs[0][0] is pairs[0][1]:
            return keys, keys
        return keys, torch.stack([values for _, values in pairs], dim=1)

    def forward(self, features: Features, keys: Tensor, values: Tensor, valid: Tensor) -> Attended:
        """The prediction for a new frame.

        Args:
            features: Features of the new frame.
            keys: Keys of the past slots, ``(B, L, T, S_k, D)``.
            values: Values of the past slots, of the same shape.
            valid: ``(B, T)`` bool: which slots hold a frame.

        Raises:
            ValueError: The past frames have another size.
        """
        new = _flatten(features["layer4"])
        here = self.here(*features["layer4"].shape[-2:])
        there = torch.cat(
            [table(*features[scale].shape[-2:]) for table, scale in zip(self.there, self.scales, strict=True)]
        )
        if keys.shape[3] != there.shape[0]:
            raise ValueError("the state is for another frame size: use init_state(batch_size, size)")
        layers = [cast(AttentionLayer, layer) for layer in self.layers]
        projections = self.appearance(new), *(layer.query(new) for layer in layers)
        tokens = here + projections[0]
        query = found = weights = new
        for number, layer in enumerate(layers):
            query = layer.refine_query(projections[1 + number], tokens)
            found, weights = layer.attend(query, keys[:, number], values[:, number], valid, here, there)
            tokens = layer.update(tokens, found)
        answer = self.head(tokens, *features["layer4"].shape[-2:]) if self.head else tokens.mean(dim=1)
        return Attended(self.classifier(answer), query, found, weights, projections)


def _flatten(features: Tensor) -> Tensor:
    """Reshapes maps ``(B, C, rows, columns)`` to tokens ``(B, S, C)``."""
    return features.flatten(2).transpose(1, 2)
