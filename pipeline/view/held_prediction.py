"""Moves the last prediction to the time of a frame that has no prediction of its own."""

from math import cos, radians, sin

import msgspec

from pipeline.base.camera_velocity import CameraMotion
from pipeline.base.frame import Frame
from pipeline.base.moving_thing import Point, Thing
from pipeline.wire.messages import Prediction

FRESH_MS = 250.0
"""Up to this age a held prediction is drawn like the frame's own."""
KEPT_MS = 500.0
"""Up to this age its moving objects are drawn."""


def held_age_ms(frame: Frame, held: Prediction) -> float:
    """Milliseconds from the predicted frame to this one; negative if the prediction is of a later frame."""
    return (frame.time_ns - held.time_ns) / 1e6


def move_to(held: Prediction, age_ms: float, aspect: float) -> list[Thing] | None:
    """The moving objects of a held prediction where they are expected now.

    Each object moves on at its speed, and the scene shifts with the camera's pan and tilt; zoom and roll are
    ignored. Objects whose centre has left the image are omitted.

    Args:
        held: The prediction.
        age_ms: See ``held_age_ms``.
        aspect: Width of the frame divided by its height.

    Returns:
        None if the prediction has no moving objects to show: too old, or from a network without dense motion.
    """
    if held.things is None or abs(age_ms) > KEPT_MS:
        return None
    seconds = age_ms / 1000
    scene = _scene_shift(held.camera, seconds, aspect)
    moved = []
    for thing in held.things:
        own = _shift(thing.speed, thing.direction_deg, seconds, aspect)
        right, down = scene[0] + own[0], scene[1] + own[1]
        x, y, width, height = thing.box
        x, y = x + right, y + down
        if not (0 <= x + width / 2 <= 1 and 0 <= y + height / 2 <= 1):
            continue
        moved.append(
            msgspec.structs.replace(
                thing,
                box=(x, y, width, height),
                outline=_moved(thing.outline, right, down),
                trail=_moved(thing.trail, *scene),
            )
        )
    return moved


def _moved(points: list[Point], right: float, down: float) -> list[Point]:
    return [(x + right, y + down) for x, y in points]


def _scene_shift(camera: CameraMotion | None, seconds: float, aspect: float) -> tuple[float, float]:
    """How far the scene moves in the image, to the right and down; opposite to the camera's motion."""
    return (0.0, 0.0) if camera is None else _shift(camera.speed, camera.direction_deg, -seconds, aspect)


def _shift(speed: float, direction_deg: float, seconds: float, aspect: float) -> tuple[float, float]:
    """Displacement to the right and down, in fractions of the image's width and height."""
    angle = radians(direction_deg)
    return speed * seconds * cos(angle), -speed * seconds * sin(angle) * aspect
