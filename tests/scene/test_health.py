"""Whether a camera still sees: what is a fault, what is none, and how long it takes to say so."""

from collections.abc import Callable

import cv2
import numpy as np
import pytest

from pipeline.base.frame import Image
from tests.scene.staged import (
    COLUMNS,
    FPS,
    ROWS,
    Camera,
    blurred,
    covered,
    dark,
    noisy,
    over_exposed,
    scene,
    states,
)

SCENE = scene()
FAULTS = {"covered": covered, "dark": dark, "over_exposed": over_exposed, "blurred": blurred}


@pytest.mark.parametrize("state", FAULTS)
def test_a_fault_is_believed_once_it_has_lasted_and_is_over_a_second_after_its_end(state: str) -> None:
    camera = Camera(SCENE)
    assert states(camera.film(8)) == ["ok"]
    during = camera.film(8, FAULTS[state])
    assert states(during) == ["ok", state]
    believed = [one.state for one in during].index(state)
    assert FPS <= believed <= 4 * FPS
    assert during[-1].for_s == pytest.approx(8 - 1 / FPS)
    assert {"level", "sharp"} <= during[-1].why.keys()
    after = camera.film(3)
    assert states(after) == [state, "ok"]
    assert after[FPS // 2].ok_for_s == pytest.approx(0.5)
    assert [one.state for one in after].index("ok") == FPS


@pytest.mark.parametrize("state", FAULTS)
def test_a_moment_is_no_fault(state: str) -> None:
    camera = Camera(SCENE)
    camera.film(8)
    assert states(camera.film(1.2, FAULTS[state]) + camera.film(4)) == ["ok"]


def less_light(image: Image) -> Image:
    return (image * 0.4).astype(np.uint8)


def more_light(image: Image) -> Image:
    return np.clip(image.astype(np.int16) * 2, 0, 255).astype(np.uint8)


def somebody_near(image: Image) -> Image:
    """A dark figure of half the width."""
    with_figure = image.copy()
    with_figure[ROWS // 8 :, COLUMNS // 4 : COLUMNS * 3 // 4] = 35
    return with_figure


def night_with_lamps(image: Image) -> Image:
    night = (image // 30).astype(np.uint8)
    for x in (20, 70, 120):
        cv2.circle(night, (x, 40), 3, (220, 230, 240), -1)
    return night


@pytest.mark.parametrize("change", [less_light, more_light, somebody_near, night_with_lamps])
def test_what_is_no_fault(change: Callable[[Image], Image]) -> None:
    camera = Camera(SCENE)
    assert states(camera.film(8) + camera.film(8, change) + camera.film(4)) == ["ok"]


def test_a_camera_that_pans_is_no_fault() -> None:
    wide = scene(3, ROWS, 3 * COLUMNS)
    camera = Camera(SCENE)

    def panned(number: int) -> Image:
        left = abs(number * 2 % (4 * COLUMNS) - 2 * COLUMNS)
        return noisy(wide[:, left : left + COLUMNS], number)

    assert states(camera.show(60, panned)) == ["ok"]


@pytest.mark.parametrize("level", [40, 128, 255])
def test_a_view_that_was_always_plain_has_nothing_to_lose(level: int) -> None:
    plain = Camera(np.full((ROWS, COLUMNS, 3), level, np.uint8))
    assert states(plain.film(8) + plain.film(8, covered)) == ["ok"]


def test_a_black_stream_is_dark_from_its_start() -> None:
    camera = Camera(np.zeros((ROWS, COLUMNS, 3), np.uint8))
    assert states(camera.film(5)) == ["ok", "dark"]


def test_fog_that_comes_slowly_is_no_fault() -> None:
    camera = Camera(SCENE)
    camera.film(8)

    def fog(number: int) -> Image:
        thick = min((number - 8 * FPS) / (120 * FPS), 0.9)
        return noisy((SCENE * (1 - thick) + 170 * thick).astype(np.uint8), number)

    assert states(camera.show(120, fog)) == ["ok"]


def test_pictures_far_apart_say_nothing_of_what_lasts() -> None:
    camera = Camera(SCENE)
    camera.film(8)
    judged = []
    for _ in range(10):
        camera.frames += 2 * FPS
        judged += camera.film(1 / FPS, dark)
    assert states(judged) == ["ok"]


def test_a_clock_that_goes_back_and_another_size_begin_anew() -> None:
    camera = Camera(SCENE)
    camera.film(8)
    assert states(camera.film(4, covered)) == ["ok", "covered"]
    camera.frames -= 6 * FPS
    assert states(camera.film(2, covered)) == ["covered"]
    smaller = camera.show(8, lambda number: noisy(cv2.resize(covered(SCENE), (80, 60)), number))
    assert states(smaller) == ["ok"], "a camera of another size has another usual view"


def test_a_frozen_picture_is_told_only_where_asked_for() -> None:
    for judge_frozen in (True, False):
        camera = Camera(SCENE, judge_frozen=judge_frozen)
        camera.film(20)
        still = noisy(SCENE, 3)
        judged = camera.show(10, lambda number, still=still: still)
        assert states(judged) == (["ok", "frozen"] if judge_frozen else ["ok"])
        assert states(camera.film(3))[-1] == "ok"
        if judge_frozen:
            assert judged[-1].for_s == pytest.approx(10 - 1 / FPS)


def test_what_the_decoder_calls_smeared_is_so_at_once_and_nothing_is_learned_of_it() -> None:
    camera = Camera(SCENE)
    camera.film(8)
    camera.is_smeared = True
    during = camera.film(4, covered)
    assert states(during) == ["smeared"], "one packet is enough, whatever the rest looks like"
    camera.is_smeared = False
    after = camera.film(3)
    assert states(after) == ["smeared", "ok"]
    assert [one.state for one in after].index("ok") == FPS
    assert after[FPS].why["usually_sharp"] == pytest.approx(during[0].why["usually_sharp"], abs=0.01)


def test_a_stream_may_be_smeared_from_its_first_picture() -> None:
    camera = Camera(SCENE)
    camera.is_smeared = True
    assert states(camera.film(0.2)) == ["smeared"]
