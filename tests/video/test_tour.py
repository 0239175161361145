"""The truth of the tour against things made of perfect dense motion: same units, directions and times."""

import numpy as np
import numpy.typing as npt
import pytest

from pipeline.scene.dense_motion import PLACE_PX, DenseMotion
from pipeline.scene.judge import Verdict, judge
from pipeline.scene.things import ThingTracker
from pipeline.video.actors import find_movers
from pipeline.video.pose import HEIGHT, WIDTH
from pipeline.video.tour import FPS, TOUR, Shot, shots

ROWS, COLUMNS = 48, 64
AGES = (5, 3)
"""Of the past frames, in frames: about 200 and 100 ms."""
STREET = [shot for shot in shots() if shot.place == 0]


def in_view(shot: Shot, points: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    matrix = shot.pose.canvas_to_view()
    return points @ matrix[:, :2].T + matrix[:, 2]


def perfect_motion(now: Shot, past: list[Shot]) -> DenseMotion:
    """What a network without faults would find."""
    x = (np.arange(COLUMNS) + 0.5) * WIDTH / COLUMNS
    y = (np.arange(ROWS) + 0.5) * HEIGHT / ROWS
    view = np.stack(np.meshgrid(x, y), axis=-1)
    to_canvas = now.pose.view_to_canvas()
    canvas = view @ to_canvas[:, :2].T + to_canvas[:, 2]
    moving = np.zeros((ROWS, COLUMNS), np.float32)
    before = [canvas.copy() for _ in past]
    for actor in TOUR[0].actors:
        for mover in find_movers([actor], now.seconds, now.pose):
            left, top, width, height = np.array(mover.box) * (WIDTH, HEIGHT, WIDTH, HEIGHT)
            away = (view - (left + width / 2, top + height / 2)) / (width / 2, height / 2)
            inside = (away**4).sum(axis=-1) < 1
            moving[inside] = mover.speed > 0.02
            for shot, places in zip(past, before, strict=True):
                way = np.subtract(actor.path.at(now.seconds), actor.path.at(shot.seconds))
                places[inside] = canvas[inside] - way
    size = np.array([WIDTH, HEIGHT])
    pixels = PLACE_PX * np.array([COLUMNS, ROWS]) / size
    flows = [(in_view(shot, p) - view) * pixels for shot, p in zip(past, before, strict=True)]
    corners = np.array([(0, 0), (1, 0), (0, 1)])
    seen = (corners + 1) / 2 * size @ to_canvas[:, :2].T + to_canvas[:, 2]
    cameras = []
    for shot in past:
        there = in_view(shot, seen) / size * 2 - 1
        cameras.append(np.stack([there[1] - there[0], there[2] - there[0], there[0]], axis=1))
    return DenseMotion(
        moving=moving,
        flow=np.stack(flows).transpose(0, 3, 1, 2).astype(np.float32),
        uncertainty=np.full((len(past), ROWS, COLUMNS), 0.2, np.float32),
        camera=np.stack(cameras).astype(np.float32),
        valid=np.ones(len(past), np.bool_),
        history_ms=[1000 * (now.seconds - shot.seconds) for shot in past],
        aspect=HEIGHT / WIDTH,
    )


@pytest.fixture(scope="module")
def verdicts() -> list[tuple[Shot, Verdict]]:
    tracker, found = ThingTracker(), []
    for number in range(max(AGES), len(STREET)):
        now = STREET[number]
        things = tracker.update(
            perfect_motion(now, [STREET[number - age] for age in AGES]), round(number * 1e9 / FPS)
        )
        found.append((now, judge(things, find_movers(TOUR[0].actors, now.seconds, now.pose))))
    return found


def test_things_of_perfect_motion_find_what_moves_and_nothing_else(
    verdicts: list[tuple[Shot, Verdict]],
) -> None:
    judged, movers, right = (
        sum(getattr(verdict, name) for _, verdict in verdicts) for name in ("judged", "movers", "found")
    )
    assert movers > 500
    assert right > 0.97 * judged
    assert right > 0.98 * movers


def test_directions_agree_under_a_following_and_a_shaking_camera(
    verdicts: list[tuple[Shot, Verdict]],
) -> None:
    for begin, end in ((0.5, 11.0), (11.5, 14.3), (18.4, 21.4)):
        errors = [
            error
            for shot, verdict in verdicts
            if begin < shot.seconds < end
            for error in verdict.direction_errors_deg
        ]
        assert len(errors) > 50
        assert np.median(errors) < 1
