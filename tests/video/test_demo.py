from collections import Counter, deque
from dataclasses import replace
from itertools import pairwise

import cv2
import numpy as np
import pytest

from pipeline.base.camera_motions import CAMERA_MOTIONS
from pipeline.base.frame import Image
from pipeline.video.demo import DemoSource
from pipeline.video.source import Picture
from pipeline.video.tour import FPS, TOUR


@pytest.fixture(scope="module")
def tour() -> list[Picture]:
    """The whole tour in half the size, to spare memory."""
    small = []
    with DemoSource() as source:
        while (picture := source.read()) is not None:
            assert picture.image.shape == (480, 640, 3)
            half = cv2.resize(picture.image, (320, 240), interpolation=cv2.INTER_AREA)
            small.append(replace(picture, image=half))
    return small


def measured_motion(before: Image, after: Image) -> str:
    """The camera's motion between two pictures, from tracked corners."""
    grey = [cv2.cvtColor(image, cv2.COLOR_BGR2GRAY) for image in (before, after)]
    corners = cv2.goodFeaturesToTrack(grey[0], 300, 0.01, 8)
    moved, found, _ = cv2.calcOpticalFlowPyrLK(*grey, corners, None, winSize=(25, 25), maxLevel=4)
    good = found[:, 0] == 1
    matrix, _ = cv2.estimateAffinePartial2D(corners[good], moved[good], ransacReprojThreshold=2)
    height, width = grey[0].shape
    centre = np.array([width / 2, height / 2])
    right, down = (matrix @ [*centre, 1] - centre) / (width, height)
    growth = np.log(np.hypot(matrix[0, 0], matrix[1, 0]))
    clockwise = np.arctan2(matrix[1, 0], matrix[0, 0])
    # Each in units of the slowest motion of its kind over 100 ms.
    strengths = {
        "pan_left": right / 0.03,
        "pan_right": -right / 0.03,
        "tilt_up": down / 0.03,
        "tilt_down": -down / 0.03,
        "zoom_in": growth / 0.035,
        "zoom_out": -growth / 0.035,
        "roll_cw": -clockwise / np.radians(3),
        "roll_ccw": clockwise / np.radians(3),
    }
    best = max(strengths, key=lambda motion: strengths[motion])
    return best if strengths[best] > 0.5 else "static"


def test_labels_agree_with_the_measured_motion(tour: list[Picture]) -> None:
    recent: deque[Picture] = deque(maxlen=4)
    right: Counter[str | None] = Counter()
    total: Counter[str | None] = Counter()
    for place, picture in enumerate(tour):
        recent.append(picture)
        # Three frames are 120 ms; every fourth pair keeps the test short.
        if place % 4 == 3 and len({old.truth for old in recent}) == 1:
            total[picture.truth] += 1
            right[picture.truth] += measured_motion(recent[0].image, picture.image) == picture.truth
    assert set(total) == set(CAMERA_MOTIONS)
    for motion, count in total.items():
        assert right[motion] >= 0.97 * count, motion


def test_tour_lasts_three_quarters_of_a_minute_and_shows_each_motion_over_two_pictures(
    tour: list[Picture],
) -> None:
    assert 42 < len(tour) / FPS < 48
    assert len(tour) == DemoSource().frames
    street, *others = TOUR
    motions = [segment.motion for stop in others for segment in stop.segments]
    assert Counter(motions) == dict.fromkeys(CAMERA_MOTIONS, 2)
    assert all(before != after for before, after in pairwise([street.segments[-1].motion, *motions]))
    for motion in CAMERA_MOTIONS:
        assert len({stop.scene for stop in others if motion in {one.motion for one in stop.segments}}) == 2


def test_what_moves_is_there_from_the_first_second_one_thing_first_then_several(tour: list[Picture]) -> None:
    sure = [[mover for mover in picture.movers or [] if mover.is_sure] for picture in tour]
    assert len(tour[0].movers or []) == 1
    first = next(place for place, movers in enumerate(sure) if movers)
    assert first < FPS
    several = next(place for place, movers in enumerate(sure) if len(movers) > 1)
    assert all(len(movers) == 1 for movers in sure[first : first + int(2 * FPS)])
    assert 2 * FPS < several < 6 * FPS
    assert max(map(len, sure)) >= 3
    directions = {round(mover.direction_deg / 90) % 4 for movers in sure for mover in movers}
    assert directions >= {0, 1, 2}  # right, up, left
    assert any(movers and picture.truth == "pan_right" for movers, picture in zip(sure, tour, strict=True))


def test_every_picture_says_what_moves_and_in_some_nothing_does(tour: list[Picture]) -> None:
    assert all(picture.movers is not None for picture in tour)
    empty = [picture.truth for picture in tour if not picture.movers]
    assert set(empty) == set(CAMERA_MOTIONS)
    street = tour[: sum(segment.frames for segment in TOUR[0].segments)]
    assert sum(not picture.movers for picture in street) > FPS  # a shadow passes, leaves sway
    stopped = [any(not mover.is_sure and mover.speed == 0 for mover in one.movers or []) for one in street]
    assert 5 < sum(stopped) < 40  # still tolerated for a while, then no mover


def test_a_cut_always_changes_the_label(tour: list[Picture]) -> None:
    cuts = 0
    for before, after in pairwise(tour):
        if np.abs(cv2.absdiff(before.image, after.image)).mean() > 55:
            cuts += 1
            assert before.truth != after.truth
    assert cuts == len(TOUR) - 1


def test_same_seed_same_pictures() -> None:
    for seed in (0, 3):
        with DemoSource(seed) as one, DemoSource(seed) as other:
            for _ in range(3):
                first, second = one.read(), other.read()
                assert first is not None
                assert second is not None
                assert np.array_equal(first.image, second.image)
    with DemoSource(0) as one, DemoSource(1) as other:
        assert not np.array_equal(one.read().image, other.read().image)  # type: ignore[union-attr]


def test_no_borders_and_noise_on_every_frame(tour: list[Picture]) -> None:
    for before, after in pairwise(tour[::25]):
        edges = (after.image[0], after.image[-1], after.image[:, 0], after.image[:, -1])
        assert all(edge.std() > 2 for edge in edges)
        assert not np.array_equal(before.image, after.image)
    assert [picture.pts_ns for picture in tour[:3]] == [0, 40_000_000, 80_000_000]
