"""The last prediction on a frame without one: where its objects are expected, and for how long."""

from dataclasses import replace

import msgspec
import numpy as np
import pytest

from pipeline.base.camera_velocity import CameraMotion
from pipeline.base.moving_thing import Thing
from pipeline.view.held_prediction import KEPT_MS, held_age_ms, move_to
from pipeline.wire.messages import Prediction
from tests.view.samples import MS, changed, frame, overlay_of, picture, prediction


def thing(direction_deg: float = 0.0, speed: float = 0.5, x: float = 0.4) -> Thing:
    """A box of 0.1 by 0.2 in the middle of the image's height."""
    outline = [(x, 0.4), (x + 0.1, 0.4), (x + 0.1, 0.6), (x, 0.6)]
    return Thing(
        id=1,
        box=(x, 0.4, 0.1, 0.2),
        outline=outline,
        speed=speed,
        direction_deg=direction_deg,
        age_ms=900.0,
        score=0.9,
        trail=[(x, 0.5)],
    )


def held_with(
    things: list[Thing] | None, camera: CameraMotion | None = None, age_ms: float = 0.0
) -> Prediction:
    held = prediction(capture_ns=round((1_000 - age_ms) * MS))
    return msgspec.structs.replace(held, things=things, camera=camera)


def pan(speed: float, direction_deg: float) -> CameraMotion:
    return CameraMotion(speed=speed, direction_deg=direction_deg, zoom=0.0, roll_deg=0.0, shake=0.0)


@pytest.mark.parametrize(
    ("direction_deg", "right", "down"), [(0, 0.1, 0.0), (90, 0.0, -0.15), (180, -0.1, 0.0), (270, 0.0, 0.15)]
)
def test_an_object_moves_on_at_its_speed(direction_deg: float, right: float, down: float) -> None:
    held = held_with([thing(direction_deg)])
    (moved,) = move_to(held, 200.0, 1.5) or []
    assert moved.box == pytest.approx((0.4 + right, 0.4 + down, 0.1, 0.2))
    assert moved.outline[2] == pytest.approx((0.5 + right, 0.6 + down))
    assert moved.trail == [(0.4, 0.5)], "the path stays where it was in the scene"


def test_the_scene_shifts_against_the_camera() -> None:
    held = held_with([thing(speed=0.0)], camera=pan(0.2, 0.0))
    (moved,) = move_to(held, 100.0, 1.0) or []
    assert moved.box[:2] == pytest.approx((0.38, 0.4))
    assert moved.trail[0] == pytest.approx((0.38, 0.5))


def test_objects_that_left_the_image_are_omitted() -> None:
    assert move_to(held_with([thing(x=0.9)]), 200.0, 1.0) == []


def test_objects_of_an_old_prediction_are_not_shown() -> None:
    held = held_with([thing()])
    assert move_to(held, KEPT_MS, 1.0)
    assert move_to(held, KEPT_MS + 1, 1.0) is None
    assert move_to(held_with(None), 10.0, 1.0) is None


def test_the_age_of_a_prediction_of_a_file_is_that_of_the_film() -> None:
    image = picture()
    later = replace(frame(image), policy="every", pts_ns=400 * MS, capture_ns=1_010 * MS)
    held = msgspec.structs.replace(held_with([thing()]), policy="every", pts_ns=100 * MS)
    assert held_age_ms(later, held) == 300.0


def test_a_skipped_frame_outlines_the_objects_of_the_last_prediction() -> None:
    image = picture(value=0)
    height, width = image.shape[:2]

    def middle_of_changes(age_ms: int) -> float:
        """Share of the width, in the rows of the object."""
        held = held_with([thing()], age_ms=age_ms)
        drawn = overlay_of(frame(image), None, None, held=held)
        rows = changed(image, drawn)[round(0.45 * height) : round(0.55 * height), : round(0.7 * width)]
        return float(np.nonzero(rows)[1].mean()) / width if rows.any() else 0.0

    soon, later = middle_of_changes(40), middle_of_changes(200)
    assert later - soon == pytest.approx(0.08, abs=0.03)
    assert middle_of_changes(600) == 0.0
