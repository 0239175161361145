"""Boxes in image widths: left, top, right, bottom; y from 0 to height / width."""

from typing import TypeAlias

Box: TypeAlias = tuple[float, float, float, float]


def area(box: Box) -> float:
    """Area as a share of a square as wide as the image."""
    left, top, right, bottom = box
    return (right - left) * (bottom - top)


def common(box: Box, other: Box) -> float:
    """Area of the intersection of two boxes."""
    wide = min(box[2], other[2]) - max(box[0], other[0])
    high = min(box[3], other[3]) - max(box[1], other[1])
    return wide * high if wide > 0 and high > 0 else 0.0


def overlap(box: Box, other: Box) -> float:
    """Intersection over union of two boxes."""
    shared = common(box, other)
    return shared / (area(box) + area(other) - shared) if shared else 0.0


def middle(box: Box) -> tuple[float, float]:
    """X and y of the centre."""
    left, top, right, bottom = box
    return (left + right) / 2, (top + bottom) / 2


def moved(box: Box, x: float, y: float) -> Box:
    """The box, shifted right and down."""
    left, top, right, bottom = box
    return left + x, top + y, right + x, bottom + y
