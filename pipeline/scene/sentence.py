"""What is seen now, in words."""

from collections.abc import Sequence

from pipeline.base.moving_thing import Thing

_MOST_NAMED = 3
IN_PLACE = 0.01
"""Widths a second; what is slower moves in place: hands, leaves, somebody who turns round."""
_DIRECTIONS = ("right", "up-right", "up", "up-left", "left", "down-left", "down", "down-right")
"""Anticlockwise from 0 degrees, 45 degrees each."""


def in_words(things: Sequence[Thing]) -> str:
    """Such as "2 things move: right 0.12 widths/s, left 0.05"; the fastest come first, three at most."""
    if not things:
        return "nothing moves"
    fastest = sorted(things, key=lambda thing: -thing.speed)[:_MOST_NAMED]
    parts = [_motion(thing) for thing in fastest]
    if fastest[0].speed >= IN_PLACE:
        parts[0] += " widths/s"
    if len(things) > _MOST_NAMED:
        parts.append(f"{len(things) - _MOST_NAMED} more")
    count = "1 thing moves" if len(things) == 1 else f"{len(things)} things move"
    return f"{count}: {', '.join(parts)}"


def _motion(thing: Thing) -> str:
    if thing.speed < IN_PLACE:
        return "in place"
    direction = _DIRECTIONS[round(thing.direction_deg / 45) % len(_DIRECTIONS)]
    return f"{direction} {thing.speed:.2f}"
