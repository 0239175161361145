"""Ablations as modifications of a built network, so that the product needs no extra options."""

from dataclasses import asdict
from typing import cast

import torch
from torch import nn

from pipeline.model.architecture import Architecture
from pipeline.model.attention import AttentionLayer
from pipeline.model.network import TemporalKVQResNetCBAM
from pipeline.model.positions import Positions
from pipeline.model.resnet import ResNetCBAM
from pipeline.model.temporal import TemporalAttention


def start_apart(model: TemporalKVQResNetCBAM) -> None:
    """Initialises key projections at random instead of with the query projection."""
    for layer in _layers(model):
        for key in layer.key:
            cast(nn.Linear, key).reset_parameters()


def scaled_dot_products(model: TemporalKVQResNetCBAM) -> None:
    """Compares queries and keys by scaled dot product instead of angle and a learned temperature."""
    for layer in _layers(model):
        assert layer.attention.log_temperature is not None
        layer.attention.log_temperature = None


def forget_value_places(model: TemporalKVQResNetCBAM) -> None:
    """Removes positions from the values; tokens keep their own position."""
    for table in model.temporal.there:
        _silence(cast(Positions, table).table)


def forget_slots(model: TemporalKVQResNetCBAM) -> None:
    """Removes the embedding of the past frame from the values."""
    for layer in _layers(model):
        _silence(layer.slots)


def end_at_layer3(model: TemporalKVQResNetCBAM) -> None:
    """Takes queries, keys and values from ``layer3``, on its finer grid, and ends the backbone there."""
    backbone = cast(ResNetCBAM, model.backbones[0])
    backbone.layer4 = nn.Identity()
    backbone.channels["layer4"] = backbone.channels["layer3"]
    model.architecture = _EndsAtLayer3(**asdict(model.architecture))
    model.temporal = TemporalAttention(model.architecture, backbone.channels)


class _EndsAtLayer3(Architecture):
    """A backbone whose ``layer4`` has the grid of ``layer3``."""

    def grid(self, stage: str, size: tuple[int, int] | None = None) -> tuple[int, int]:
        return Architecture.grid(self, "layer3", size)


def _layers(model: TemporalKVQResNetCBAM) -> list[AttentionLayer]:
    return [cast(AttentionLayer, layer) for layer in model.temporal.layers]


@torch.no_grad()
def _silence(table: nn.Parameter) -> None:
    table.zero_()
    table.requires_grad_(False)
