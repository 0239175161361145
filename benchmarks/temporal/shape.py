"""Common settings of all networks in one comparison."""

from typing import NamedTuple


class Shape(NamedTuple):
    """Sizes that every variant is built with.

    Attributes:
        classes: Number of output classes.
        depth: Depth of the ResNet: 18, 34, 50 or 101.
        size_px: Side of the frames; a multiple of 32, so that the grids of the stages are aligned.
        d_model: Width of the attention.
        num_heads: Number of attention heads.
    """

    classes: int = 9
    depth: int = 18
    size_px: int = 192
    d_model: int = 256
    num_heads: int = 8
