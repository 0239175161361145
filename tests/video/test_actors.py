import math

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.video.actors import Actor, Path, draw_actors, find_movers
from pipeline.video.cutouts import CUTOUTS
from pipeline.video.pose import HEIGHT, WIDTH, Pose

MIDDLE = Pose(700.0, 500.0, 1.0)
velocities = st.tuples(st.floats(-300, 300), st.floats(-300, 300))


@given(first=velocities, second=velocities, third=velocities, seconds=st.floats(-2, 10))
def test_a_velocity_is_how_the_place_changes(
    first: tuple[float, float], second: tuple[float, float], third: tuple[float, float], seconds: float
) -> None:
    path = Path((100, 50), first, ((1.0, *second), (1.2, *third)))
    step = 1e-4
    before, after = path.at(seconds - step), path.at(seconds + step)
    measured = [(b - a) / (2 * step) for a, b in zip(before, after, strict=True)]
    assert path.velocity_at(seconds) == pytest.approx(measured, abs=0.5)


@pytest.mark.parametrize("pose", [MIDDLE, Pose(720.0, 480.0, 0.8), Pose(690.0, 470.0, 1.1, 0.3)])
@pytest.mark.parametrize("look", ["red car", "walker", "balloons"])
def test_the_box_of_a_mover_is_where_the_picture_changed(look: str, pose: Pose) -> None:
    actor = Actor(look, Path((700.0, 560.0), (90.0, 0.0)))
    on_black, on_white = (np.full((HEIGHT, WIDTH, 3), level, np.uint8) for level in (0, 255))
    for image in (on_black, on_white):
        draw_actors(image, [actor], 1.0, pose)
    opacity = 255 - cv2.subtract(on_white, on_black).max(axis=2)
    seen = cv2.boundingRect((opacity > 170).astype(np.uint8))
    (mover,) = find_movers([actor], 1.0, pose)
    box = np.array(mover.box) * [WIDTH, HEIGHT, WIDTH, HEIGHT]
    if pose.angle == 0:
        assert box == pytest.approx(seen, abs=2.5)
    else:  # the corners of its box are empty
        assert (box[:2] <= np.array(seen[:2]) + 2).all()
        assert (box[:2] + box[2:] >= np.array(seen[:2]) + seen[2:] - 2).all()


@given(
    degrees=st.floats(0, 359.9),
    angle=st.floats(-0.6, 0.6),
    scale=st.floats(0.7, 1.3),
    speed=st.floats(40, 250),
)
def test_direction_and_speed_are_those_in_the_picture(
    degrees: float, angle: float, scale: float, speed: float
) -> None:
    way = math.radians(degrees)
    actor = Actor("balloons", Path((700, 560), (speed * math.cos(way), -speed * math.sin(way))))
    pose, step = Pose(700.0, 500.0, scale, angle), 0.02
    (before,), (mover,), (after,) = (find_movers([actor], 0.6 + n * step, pose) for n in (-1, 0, 1))
    (x0, y0), (x1, y1) = (
        (x + width / 2, (y + height / 2) * HEIGHT / WIDTH) for x, y, width, height in (before.box, after.box)
    )
    ends = [
        start + length
        for box in (before.box, after.box)
        for start, length in zip(box[:2], box[2:], strict=True)
    ]
    if min(*before.box[:2], *after.box[:2]) > 0 and max(ends) < 1:  # else the box is cut at the border
        moved = math.hypot(x1 - x0, y1 - y0) / (2 * step)
        assert mover.speed == pytest.approx(moved, rel=0.03)
        assert mover.speed == pytest.approx(speed * scale / WIDTH)
        off = math.radians(mover.direction_deg) - math.atan2(y0 - y1, x1 - x0)
        assert math.cos(off) > 0.999


def test_a_following_camera_changes_nothing_about_the_truth() -> None:
    actor = Actor("taxi", Path((700, 560), (184, 0)))
    (still,) = find_movers([actor], 1.0, Pose(884.0, 500.0, 1.0))
    assert still.direction_deg == 0
    assert still.speed == pytest.approx(184 / WIDTH)
    assert still.box[0] + still.box[2] / 2 == pytest.approx(0.5, abs=0.02)


def test_who_has_just_begun_or_stopped_or_is_hardly_visible_is_not_sure() -> None:
    def sure(actor: Actor, seconds: float) -> list[bool]:
        return [mover.is_sure for mover in find_movers([actor], seconds, MIDDLE)]

    stops = Actor("red car", Path((500, 560), (100, 0), ((2.0, 0, 0), (4.0, 100, 0))))
    assert [sure(stops, t) for t in (0.1, 1.0, 1.9)] == [[False], [True], [True]]
    assert [sure(stops, t) for t in (2.5, 2.9, 3.5)] == [[False], [False], []]
    assert [sure(stops, t) for t in (4.3, 5.0)] == [[False], [True]]
    enters = Actor("red car", Path((200, 560), (100, 0)))
    assert [sure(enters, t) for t in (0.6, 1.0, 2.5)] == [[], [False], [True]]


def test_shadows_and_leaves_that_sway_are_no_movers() -> None:
    leaves = Actor("leaves 1", Path((700, 560)), is_mover=False, sway_px=3)
    shadow = Actor("cloud shadow", Path((400, 800), (350, 0)), is_mover=False)
    assert find_movers([leaves, shadow], 1.0, MIDDLE) == []
    images = []
    for seconds in (1.0, 1.2):
        image = np.full((HEIGHT, WIDTH, 3), 200, np.uint8)
        draw_actors(image, [leaves, shadow], seconds, MIDDLE)
        images.append(image)
    assert (cv2.absdiff(*images) > 40).any()


def test_every_cutout_is_a_picture_times_its_opacity() -> None:
    for name, draw in CUTOUTS.items():
        for cutout in draw():
            assert cutout.dtype == np.uint8
            assert (cutout[..., :3] <= cutout[..., 3:]).all(), name
            edges = np.concatenate([cutout[0], cutout[-1], cutout[:, 0], cutout[:, -1]])
            assert edges[:, 3].max() < 250, name
