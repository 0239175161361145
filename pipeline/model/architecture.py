"""The options of the network, as stored in checkpoints."""

import math
from dataclasses import dataclass
from typing import Literal, NamedTuple

AttentionKind = Literal["match", "plain"]
CBAMStart = Literal["identity", "official"]
"""``identity``: gates are ``2 * sigmoid`` with zeroed last layers, so they start at exactly 1. ``official``:
gates are ``sigmoid`` with torch's own initialisation, so they start near 0.5, as in the paper's code."""
HeadKind = Literal["mean", "grid"]
SCALES = ("layer2", "layer3", "layer4")
PICTURE = "picture"
"""Name of the normalised frame among the maps of the backbone, ``(B, 3, height, width)``."""
MOTION_STAGES = ("context", "match", "fine")
"""Names of the additional maps of dense motion, see ``pipeline.model.motion.pyramid``."""
CONTEXT_CHANNELS = 96
MATCH_CHANNELS = 64
FINE_CHANNELS = 32
TEXTURE_CHANNELS = 8
KEPT_FINE_CHANNELS = FINE_CHANNELS + 4 * TEXTURE_CHANNELS
"""Channels of a cached ``fine`` map: fine features, and the texture of the four positions in each cell."""


class EntryShapes(NamedTuple):
    """Shapes of one cached frame, see ``pipeline.model.state.Entry``.

    Attributes:
        keys: ``(L, V, S_k, D)``; the values have the same shape.
        maps: Shapes ``(C, rows, columns)`` of the maps ``match`` and ``fine``; empty without dense motion.
    """

    keys: tuple[int, ...]
    maps: tuple[tuple[int, ...], ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class Architecture:
    """The options of the network that determine its weights; defaults follow the reference implementation.

    Attributes:
        depth: Depth of the ResNet: 18, 34, 50 or 101.
        num_classes: Number of output classes.
        use_shared_weights: One backbone for all frames, or one per time step (initialised identically).
        d_model: ``D``.
        num_heads: ``H``; must divide ``d_model``.
        num_layers: ``L``; each layer refines the queries of the previous one.
        num_past: ``T``.
        attention: ``match`` or ``plain``, see ``pipeline.model.attention``.
        tied_values: Use the keys as values. None becomes True for ``plain`` and False for ``match``.
        scales: Stages that provide keys and values, each with its own projections; queries come
            from ``layer4``.
        image_size: Height and width in pixels of the frames for which position embeddings are stored; for
            other sizes they are interpolated.
        cbam_start: Initialisation of the gates, see ``pipeline.model.cbam``.
        head: ``mean`` of the tokens, or ``grid``: a perceptron over a grid of positions, see
            ``pipeline.model.head``.
        motion: Also predict dense motion, see ``pipeline.model.motion``; needs shared weights.

    Raises:
        ValueError: An option is invalid.
    """

    depth: int = 50
    num_classes: int = 1000
    use_shared_weights: bool = True
    d_model: int = 512
    num_heads: int = 8
    num_layers: int = 1
    num_past: int = 2
    attention: AttentionKind = "match"
    tied_values: bool | None = None
    scales: tuple[str, ...] = ("layer4",)
    image_size: int = 224
    cbam_start: CBAMStart = "identity"
    head: HeadKind = "mean"
    motion: bool = False

    def __post_init__(self) -> None:
        for name in ("num_classes", "d_model", "num_heads", "num_layers", "num_past"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} must be at least 1, not {getattr(self, name)}")
        if self.d_model % self.num_heads:
            raise ValueError(f"d_model {self.d_model} is not a multiple of num_heads {self.num_heads}")
        if self.attention not in ("match", "plain"):
            raise ValueError(f"attention {self.attention!r}: choose match or plain")
        if self.cbam_start not in ("identity", "official"):
            raise ValueError(f"cbam_start {self.cbam_start!r}: choose identity or official")
        if self.head not in ("mean", "grid"):
            raise ValueError(f"head {self.head!r}: choose mean or grid")
        if self.motion and not self.use_shared_weights:
            raise ValueError("motion needs use_shared_weights: the maps of a past frame are cached once")
        if not self.scales or not {*self.scales} <= {*SCALES} or len({*self.scales}) < len(self.scales):
            raise ValueError(f"scales {list(self.scales)}: choose from {', '.join(SCALES)}, each once")
        object.__setattr__(self, "scales", tuple(self.scales))  # JSON gives a list
        if self.tied_values is None:
            object.__setattr__(self, "tied_values", self.attention == "plain")

    @property
    def passes_to_remember(self) -> int:
        """Backbone passes of ``remember`` for one frame, in addition to the one of ``predict``."""
        return 0 if self.use_shared_weights else self.num_past

    def grid(self, stage: str, size: tuple[int, int] | None = None) -> tuple[int, int]:
        """Rows and columns of a stage's feature map for frames of ``size`` (default: ``image_size``)."""
        height, width = size or (self.image_size, self.image_size)
        return _cells(height, stage), _cells(width, stage)

    def entry_shapes(self, size: tuple[int, int] | None = None) -> EntryShapes:
        """Shapes of the cached data of a frame of ``size``, or of the model's own size."""
        positions = sum(math.prod(self.grid(scale, size)) for scale in self.scales)
        variants = 1 if self.use_shared_weights else self.num_past
        maps = ((MATCH_CHANNELS, "layer2"), (KEPT_FINE_CHANNELS, "layer1")) if self.motion else ()
        return EntryShapes(
            (self.num_layers, variants, positions, self.d_model),
            tuple((channels, *self.grid(stage, size)) for channels, stage in maps),
        )


def _cells(pixels: int, stage: str) -> int:
    """Number of cells of a stage along a side of ``pixels``; each halving rounds up."""
    for _ in range(int(stage.removeprefix("layer")) + 1):
        pixels = (pixels + 1) // 2
    return pixels
