"""The three settings that freshness changes: JPEG quality, frame size and stride."""

from dataclasses import dataclass, replace
from typing import Final, Literal, TypeAlias

Knob: TypeAlias = Literal["quality", "size", "stride"]

# Each step reduces the cost of a stream by 15 to 50 %: enough to have an effect, small enough to undo.
_QUALITIES: Final = (90, 75, 60, 45, 30, 20, 10)
_SIZES: Final = (1, 2, 4, 8)
_STRIDES: Final = (1, 2, 3, 4, 6, 8, 12)


@dataclass(frozen=True, slots=True)
class Knobs:
    """How capture sends frames.

    Attributes:
        quality: JPEG quality, 1 to 100; 0 keeps the configured encoding.
        size: Divisor of both sides of a frame.
        stride: Every ``stride``-th frame is sent.
    """

    quality: int = 0
    size: int = 1
    stride: int = 1

    def value(self, knob: Knob) -> int:
        """The value of a knob."""
        match knob:
            case "quality":
                return self.quality
            case "size":
                return self.size
            case "stride":
                return self.stride

    def turned(self, knob: Knob, value: int) -> "Knobs":
        """A copy with one knob set to ``value``."""
        match knob:
            case "quality":
                return replace(self, quality=value)
            case "size":
                return replace(self, size=value)
            case "stride":
                return replace(self, stride=value)

    def __str__(self) -> str:
        """Human-readable: ``JPEG quality 75, every 2nd frame``."""
        turned = [describe("quality", self.quality)] if self.quality else []
        turned += [describe("size", self.size)] if self.size > 1 else []
        turned += [describe("stride", self.stride)] if self.stride > 1 else []
        return ", ".join(turned) or "everything is sent as configured"


@dataclass(frozen=True, slots=True)
class Limits:
    """Lower limits of the knobs.

    Attributes:
        quality: Lowest JPEG quality.
        side_px: Smallest shorter side of a frame in pixels.
        fps: Lowest frame rate.
    """

    quality: int
    side_px: int
    fps: float


class Ladder:
    """The steps of each knob, from the configured setting down to the limits.

    Args:
        limits: Lower limits.
        quality: JPEG quality as configured; 0 for another encoding.
    """

    def __init__(self, limits: Limits, quality: int) -> None:
        self._limits = limits
        top = quality or 101
        lower = tuple(step for step in _QUALITIES if limits.quality < step < top)
        lowest = (limits.quality,) if limits.quality < top else ()
        self._steps: dict[Knob, tuple[int, ...]] = {
            "quality": (quality, *lower, *lowest),
            "size": _SIZES,
            "stride": _STRIDES,
        }

    def below(self, knobs: Knobs, knob: Knob, *, side_px: int, fps: float) -> int | None:
        """The next lower value; None if there is none or a limit forbids it.

        Args:
            knobs: Current values.
            knob: The knob to turn.
            side_px: Shorter side of the source's frames.
            fps: Frame rate of the source.
        """
        steps = self._steps[knob]
        place = steps.index(knobs.value(knob)) + 1
        if place >= len(steps):
            return None
        value = steps[place]
        if knob == "size" and side_px / value < self._limits.side_px:
            return None
        if knob == "stride" and fps / value < self._limits.fps:
            return None
        return value

    def above(self, knobs: Knobs, knob: Knob) -> int:
        """The next higher value; the knob must have been turned down."""
        steps = self._steps[knob]
        return steps[steps.index(knobs.value(knob)) - 1]


def describe(knob: Knob, value: int) -> str:
    """One setting, human-readable: ``every 2nd frame``."""
    if knob == "quality":
        return f"JPEG quality {value}" if value else "the configured encoding"
    if knob == "size":
        return f"1/{value} of the width and height" if value > 1 else "the full size"
    ordinal = {2: "2nd", 3: "3rd"}.get(value, f"{value}th")
    return f"every {ordinal} frame" if value > 1 else "every frame"
