"""All variants that are compared: ours, the baselines, and ours with one change."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

from torch import nn

from benchmarks.temporal import surgery
from benchmarks.temporal.baselines import ConcatenatedFeatures, FeatureDifference, MeanLogits
from benchmarks.temporal.shape import Shape
from benchmarks.temporal.shift import ChannelShift
from pipeline.model.network import TemporalKVQResNetCBAM


@dataclass(frozen=True)
class Variant:
    """One row.

    Attributes:
        about: Human-readable description.
        build: Builds the network.
        num_past: Number of past frames that it uses.
        match_weight: Weight of the loss that trains attention to find corresponding positions, if it has any.
        speeds: Speed factors of its training motions.
    """

    about: str
    build: Callable[[Shape], nn.Module]
    num_past: int = 2
    match_weight: float = 0.2
    speeds: tuple[float, float] = (0.4, 2.0)


def ours(
    shape: Shape, alter: Callable[[TemporalKVQResNetCBAM], None] | None = None, **options: Any
) -> TemporalKVQResNetCBAM:
    """Our network, with other options or an alteration of the built one."""
    model = TemporalKVQResNetCBAM(
        depth=shape.depth,
        num_classes=shape.classes,
        d_model=shape.d_model,
        num_heads=shape.num_heads,
        image_size=shape.size_px,
        **options,
    )
    if alter is not None:
        alter(model)
    return model


def _cut(alter: Callable[[TemporalKVQResNetCBAM], None], **options: Any) -> Callable[[Shape], nn.Module]:
    return partial(ours, alter=alter, **options)


# In run order: the most important variants come first, in case time runs out.
VARIANTS: dict[str, Variant] = {
    "ours": Variant("the shipped recipe", ours),
    "concatenated": Variant("baseline: stacked features, spatial head", ConcatenatedFeatures),
    "shift": Variant("baseline: channel shift (TSM), newest frame's logits", ChannelShift),
    "difference": Variant("baseline: feature differences, spatial head", FeatureDifference),
    "mean_logits": Variant("baseline: mean of single-frame logits", MeanLogits),
    "shift_mean": Variant(
        "baseline: channel shift (TSM), mean of logits", partial(ChannelShift, answer="mean")
    ),
    "guide": Variant(
        "reference implementation: plain attention, V = K, no match loss",
        partial(ours, attention="plain", tied_values=True),
        match_weight=0.0,
    ),
    "grid_head": Variant(
        "perceptron over all positions instead of the mean of the tokens", partial(ours, head="grid")
    ),
    "no_match_loss": Variant("no match loss", ours, match_weight=0.0),
    "apart": Variant("Q and K initialised independently", _cut(surgery.start_apart)),
    "apart_no_match_loss": Variant(
        "Q and K initialised independently, no match loss", _cut(surgery.start_apart), match_weight=0.0
    ),
    "dot_product": Variant("scaled dot product, no normalisation", _cut(surgery.scaled_dot_products)),
    "no_value_places": Variant("no positions in V", _cut(surgery.forget_value_places)),
    "no_slots": Variant("no slot embedding", _cut(surgery.forget_slots)),
    "past_1": Variant("1 past frame", partial(ours, num_past=1), num_past=1),
    "past_4": Variant("4 past frames", partial(ours, num_past=4), num_past=4),
    "layer3": Variant("Q, K and V from layer3, where the backbone ends", _cut(surgery.end_at_layer3)),
    "layer3_keys": Variant("K and V from layer3, Q from layer4", partial(ours, scales=("layer3",))),
    "two_scales": Variant("K and V from layer3 and layer4", partial(ours, scales=("layer3", "layer4"))),
    "two_layers": Variant("2 attention layers", partial(ours, num_layers=2)),
    "one_speed": Variant("trained at 1x only", ours, speeds=(1.0, 1.0)),
}
