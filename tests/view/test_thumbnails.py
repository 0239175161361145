"""Pictures of the past: each its own, and where the strongest thing was."""

import msgspec
import numpy as np
import pytest

from pipeline.view.canvas import Scale
from pipeline.view.thumbnails import draw_thumbnails, make_thumbnail
from tests.view.samples import attention, changed, frame, overlay_of, picture, prediction, thing

PAST = prediction().past
NOW = (0.1, 0.1, 0.2, 0.2)
WAS = [(0.6, 0.2, 0.3, 0.3), (0.1, 0.5, 0.2, 0.2)]
SIZES = [(320, 240), (640, 480), (1920, 1080)]


def test_thumbnails_show_their_own_picture_oldest_left():
    red, blue = np.zeros((480, 640, 3), np.uint8), np.zeros((480, 640, 3), np.uint8)
    red[..., 2] = blue[..., 0] = 255
    even = np.full((49, 98), 1 / 98, np.float16)
    drawn = overlay_of(frame(picture(value=0)), prediction(), even, [red, blue]).astype(int)
    panel = drawn[360:450, 400:]
    reds = np.nonzero(panel[..., 2] - panel[..., 0] > 80)[1]
    blues = np.nonzero(panel[..., 0] - panel[..., 2] > 80)[1]
    assert reds.size
    assert blues.size
    assert reds.max() < blues.min()


def test_thumbnail_keeps_the_aspect():
    assert make_thumbnail(picture(1920, 1080)).shape == (144, 256, 3)
    assert make_thumbnail(picture(100, 50)).shape == (50, 100, 3)


def drawn(size, one):
    """A picture with thumbnails, and their box."""
    canvas, image = picture(*size), picture(*size)
    box = draw_thumbnails(canvas, 2, PAST, [image, image], thing=one)
    return canvas, box


def thumbnail_boxes(size, box):
    """Left, top, width and height of the two pictures in the panel."""
    scale = Scale.of(picture(*size))
    pad, gap = scale.px(7), scale.px(10)
    width, height = (box.width - 2 * pad - gap) / 2, box.height - pad - scale.px(19)
    return [(box.x + pad + number * (width + gap), box.y + pad, width, height) for number in range(2)]


@pytest.mark.parametrize("size", SIZES)
def test_the_thing_is_outlined_where_it_was_in_each_past_frame(size):
    one = msgspec.structs.replace(thing((0.75, 0.05, 0.2, 0.1), 180.0), was=WAS)
    with_thing, box = drawn(size, one)
    without, _ = drawn(size, None)
    ink = changed(without, with_thing)
    for (left, top, width, height), (x, y, w, h) in zip(thumbnail_boxes(size, box), WAS, strict=True):
        part = np.s_[round(top + 2) : round(top + height - 2), round(left + 2) : round(left + width - 2)]
        rows, columns = np.nonzero(ink[part])
        # the lines come from the upper left: the lower right edge is that of the outline
        assert columns.max() / width == pytest.approx(x + w, abs=0.08)
        assert rows.max() / height == pytest.approx(y + h, abs=0.08)


@pytest.mark.parametrize("size", SIZES)
def test_lines_lead_from_the_thumbnails_to_the_thing(size):
    one = msgspec.structs.replace(thing(NOW, 180.0), was=WAS)
    with_thing, box = drawn(size, one)
    ink = changed(drawn(size, None)[0], with_thing)
    ink[box.y :] = False
    rows, columns = np.nonzero(ink)
    assert (columns.min() / size[0], rows.min() / size[1]) == pytest.approx((0.2, 0.2), abs=0.02)
    assert rows.max() == box.y - 1
    middle = (0.2 * size[1] + box.y) / 2
    assert len(set(columns[rows == round(middle)].tolist())) > 2, "one line from each"


def test_a_thing_whose_past_is_not_known_changes_nothing():
    assert (drawn((640, 480), thing(NOW, 180.0))[0] == drawn((640, 480), None)[0]).all()


def test_the_overlay_marks_the_surest_thing_that_has_a_past():
    hidden, second, third = (thing(box, 0.0) for box in (NOW, (0.4, 0.1, 0.2, 0.2), (0.7, 0.1, 0.2, 0.2)))
    second, third = (msgspec.structs.replace(one, was=WAS) for one in (second, third))

    def overlay(things):
        seen = msgspec.structs.replace(prediction(), things=things)
        return overlay_of(frame(), seen, attention(), [picture(), picture()])

    line = np.s_[250:330]
    assert (overlay([hidden, second, third])[line] == overlay([hidden, second])[line]).all()
    assert (overlay([hidden, third, second])[line] != overlay([hidden, second])[line]).any()
    in_place = msgspec.structs.replace(third, speed=0.0)
    assert (overlay([in_place, second])[line] == overlay([second])[line]).all()
    assert (overlay([in_place, hidden])[line] != overlay([hidden])[line]).any()
