import numpy as np
import pytest

from pipeline.view.canvas import Box
from pipeline.view.watch_overlay import Watched, draw_watched, name_watched
from tests.view.samples import changed, picture

ZONE = Watched("yard", [(0.2, 0.2), (0.8, 0.2), (0.8, 0.8), (0.2, 0.8)])
LINE = Watched("gate", [(0.1, 0.5), (0.9, 0.5)], is_line=True)


def drawn(*watched: Watched, size: tuple[int, int] = (640, 480)) -> np.ndarray:
    canvas = picture(*size)
    draw_watched(canvas, watched)
    return changed(picture(*size), canvas)


def test_a_zone_is_an_outline_and_filled_while_something_happens_there() -> None:
    quiet, lit = drawn(ZONE), drawn(Watched("yard", ZONE.points, is_lit=True))
    assert quiet[96, 320]
    assert not quiet[240, 320]
    assert lit[240, 320]
    assert not lit[40, 320]


@pytest.mark.parametrize("points", [LINE.points, LINE.points[::-1]])
def test_a_line_has_an_arrow_to_its_right(points: list[tuple[float, float]]) -> None:
    marks = drawn(Watched("gate", points, is_line=True))
    below, above = marks[243:270, 310:330].any(), marks[210:236, 310:330].any()
    rightwards = points[0][0] < points[1][0]
    assert (below, above) == (rightwards, not rightwards)


@pytest.mark.parametrize("size", [(640, 480), (320, 240), (1920, 1080), (97, 101)])
def test_names_lie_in_the_picture_and_on_nothing_else(size: tuple[int, int]) -> None:
    canvas = picture(*size)
    edge = Watched("edge", [(0.0, 0.0), (1.0, 0.0), (1.0, 1.0), (0.0, 1.0)], note="3 forward, 12 back")
    taken = [Box(0, 0, size[0] // 3, size[1] // 3)]
    boxes = name_watched(canvas, [ZONE, LINE, edge], taken)
    for number, box in enumerate(boxes):
        assert box.is_free(canvas, [*taken, *boxes[:number]])
    assert len(boxes) == 3 or size[0] < 320
    marks = changed(picture(*size), canvas)
    for box in boxes:
        marks[box.y : box.bottom, box.x : box.right] = False
    assert not marks.any()
