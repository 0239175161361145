"""Common settings of all networks in one comparison."""

from typing import NamedTuple


class Shape(NamedTuple):
    """Sizes that every variant is built with.

    Attributes:
        classes: of the output.
        depth: of the ResNet: 18, 34, 50 or 101.
        size_px: side of the frames; a multiple of 32, so that the grids of stages nest.
        d_model: width of the attention.
        num_heads: attention heads.
    """

    classes: int = 9
    depth: int = 18
    size_px: int = 192
    d_model: int = 256
    num_heads: int = 8
