import math

import cv2
import numpy as np
import pytest

from pipeline.base.frame import Image
from pipeline.training.evaluation.global_motion import (
    CameraMotion,
    at_rest,
    estimate_motion,
    name_clip,
    name_motion,
    small_grey,
)

WIDTH, HEIGHT = 640, 480


def wallpaper(seed: int = 0) -> Image:
    """Overlapping discs of all sizes: corners everywhere."""
    rng = np.random.default_rng(seed)
    picture = np.full((2 * HEIGHT, 2 * WIDTH, 3), 128, np.uint8)
    for _ in range(1500):
        centre = tuple(int(x) for x in rng.integers(0, (2 * WIDTH, 2 * HEIGHT)))
        colour = tuple(int(x) for x in rng.integers(0, 256, 3))
        cv2.circle(picture, centre, int(rng.integers(4, 60)), colour, -1, cv2.LINE_AA)
    return picture


def seen(picture: Image, camera: CameraMotion) -> Image:
    """What a camera sees that has moved so from the middle of the picture."""
    cos, sin = math.cos(camera.clockwise), math.sin(camera.clockwise)
    to_picture = np.array([[cos, -sin, 0], [sin, cos, 0]]) * math.exp(-camera.closer)
    middle = [(WIDTH - 1) / 2, (HEIGHT - 1) / 2]
    moved = [camera.right * WIDTH, camera.down * HEIGHT]
    to_picture[:, 2] = np.add([WIDTH - 0.5, HEIGHT - 0.5], moved) - to_picture[:, :2] @ middle
    flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    view = cv2.warpAffine(picture, to_picture, (WIDTH, HEIGHT), flags=flags)
    noise = np.random.default_rng(1).normal(0, 4, view.shape)
    return np.clip(view + noise, 0, 255).astype(np.uint8)


STILL = CameraMotion(0, 0, 0, 0)
MOVES = {
    "pan_right": STILL._replace(right=0.07),
    "pan_left": STILL._replace(right=-0.18),
    "tilt_down": STILL._replace(down=0.012),
    "tilt_up": STILL._replace(down=-0.07),
    "zoom_in": STILL._replace(closer=0.2),
    "zoom_out": STILL._replace(closer=-0.05),
    "roll_cw": STILL._replace(clockwise=math.radians(15)),
    "roll_ccw": STILL._replace(clockwise=math.radians(-3)),
}


@pytest.mark.parametrize("name", MOVES)
def test_finds_known_motions(name: str) -> None:
    picture = wallpaper()
    found = estimate_motion(small_grey(seen(picture, STILL)), small_grey(seen(picture, MOVES[name])))
    assert found is not None
    assert found == pytest.approx(MOVES[name], abs=2e-3)
    assert name_motion(found) == name


def test_finds_all_at_once() -> None:
    camera = CameraMotion(0.04, -0.03, 0.0, 0.1)
    picture = wallpaper(2)
    found = estimate_motion(small_grey(seen(picture, STILL)), small_grey(seen(picture, camera)))
    assert found is not None
    assert found.clockwise == pytest.approx(0.1, abs=2e-3)
    # Seen from the turned camera, content has moved along its own axes.
    right, down = 0.04 * WIDTH, -0.03 * HEIGHT
    assert found.right * WIDTH == pytest.approx(math.cos(0.1) * right + math.sin(0.1) * down, abs=1)
    assert found.down * HEIGHT == pytest.approx(math.cos(0.1) * down - math.sin(0.1) * right, abs=1)


def test_things_that_move_do_not_matter_until_they_are_too_many() -> None:
    picture, other = wallpaper(), wallpaper(5)
    before, after = seen(picture, STILL), seen(picture, STILL)
    assert (
        name_motion(estimate_motion(small_grey(before), small_grey(after)) or MOVES["pan_left"]) == "static"
    )
    for width, sure in ((160, True), (330, False)):
        one, two = before.copy(), after.copy()
        one[:, :width] = seen(other, STILL)[:, :width]
        two[:, :width] = seen(other, STILL._replace(down=0.05))[:, :width]
        found = estimate_motion(small_grey(one), small_grey(two))
        assert (found is not None) == sure
        assert found is None or name_motion(found) == "static"


def test_unsure_without_anything_to_follow() -> None:
    blank = np.full((HEIGHT, WIDTH, 3), 90, np.uint8)
    assert estimate_motion(small_grey(blank), small_grey(blank)) is None
    corner = blank.copy()
    corner[:100, :140] = wallpaper()[:100, :140]
    assert estimate_motion(small_grey(corner), small_grey(corner)) is None
    scenes = [small_grey(seen(wallpaper(seed), STILL)) for seed in (0, 1)]
    assert estimate_motion(*scenes) is None
    assert estimate_motion(scenes[0], scenes[1][:-2]) is None


def test_a_large_thing_before_a_plain_wall_is_not_the_world() -> None:
    rng = np.random.default_rng(0)
    wall = cv2.GaussianBlur(rng.integers(60, 190, (HEIGHT, WIDTH, 3)).astype(np.uint8), (0, 0), 3)
    views = []
    for shift in (0, 30):
        view = wall.copy()
        view[150:400, 200 + shift : 440 + shift] = wallpaper()[:250, :240]
        views.append(small_grey(view))
    assert estimate_motion(*views) is None
    assert name_clip([estimate_motion(views[0], views[0])]) == "static"


def test_names_only_what_is_clear() -> None:
    pan = STILL._replace(right=0.05)
    assert name_motion(pan) == "pan_right"
    assert name_motion(pan._replace(closer=0.01)) == "pan_right"
    assert name_motion(pan._replace(closer=0.05)) is None
    assert name_motion(STILL._replace(right=0.25)) is None
    assert name_motion(STILL._replace(right=0.006)) is None
    assert name_motion(STILL._replace(right=0.002)) == "static"
    assert name_motion(STILL._replace(right=0.01)) is None
    assert name_motion(STILL._replace(right=0.01), slack=0.3) == "pan_right"


def test_a_clip_has_a_name_if_its_intervals_agree() -> None:
    pan = STILL._replace(right=0.05)
    assert name_clip([pan, pan]) == "pan_right"
    assert name_clip([STILL, STILL]) == "static"
    assert name_clip([STILL._replace(right=0.01), STILL._replace(right=0.018)]) == "pan_right"
    assert name_clip([STILL._replace(right=0.01), STILL._replace(right=0.01)]) is None
    assert name_clip([pan, STILL]) is None
    assert name_clip([pan, STILL._replace(right=-0.05)]) is None
    assert name_clip([pan, None]) is None
    assert name_clip([]) is None


def test_rest_is_stiller_than_static() -> None:
    drift = STILL._replace(right=0.002)
    assert name_clip([drift, drift]) == "static"
    assert not at_rest([drift, drift])
    assert at_rest([STILL._replace(right=0.0005), STILL])
    assert not at_rest([STILL, None])
