from itertools import combinations

import msgspec
import numpy as np
import pytest

from pipeline.base.frame import Frame, FrameId
from pipeline.view.overlay import Shown, StatusItem, draw_status_line, paint_overlay
from tests.view.samples import (
    CAMERA,
    MS,
    attention,
    changed,
    frame,
    many_things,
    overlay_of,
    picture,
    prediction,
    thing,
)

SIZES = [(640, 480), (768, 576), (1920, 1080), (320, 240), (480, 854), (101, 97), (96, 400), (1200, 100)]


def regions(mask):
    """Whether something was drawn at the lower left, the lower right, the top left and in the middle."""
    height, width = mask.shape
    low, left, right = slice(height * 3 // 4, None), slice(0, width // 4), slice(width * 3 // 4, None)
    top, middle = slice(0, height // 10), slice(height // 3, height // 2)
    return mask[low, left].any(), mask[low, right].any(), mask[top, left].any(), mask[middle].any()


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("value", [0, 255])
def test_every_size_gets_its_overlay_and_the_input_stays(size, value):
    image = np.full((size[1], size[0], 3), value, np.uint8)
    image.flags.writeable = False
    past = [image, image]
    drawn = overlay_of(frame(image, truth="pan_left"), prediction(), attention(1, 0), past, fps=30.0)
    assert drawn.shape == image.shape
    assert drawn.dtype == np.uint8
    assert not np.shares_memory(drawn, image)
    assert (image == value).all()
    assert regions(changed(image, drawn)) == (True, True, True, True)


def test_picture_without_room_is_only_copied():
    image = picture(60, 40)
    drawn = overlay_of(frame(image), prediction(), attention(), [None, None])
    assert (drawn == image).all()
    assert drawn is not image


def test_same_input_same_picture():
    pictures = [overlay_of(frame(), prediction(), attention(1, 1), [None, None], fps=9.0) for _ in "ab"]
    assert (pictures[0] == pictures[1]).all()


def test_picture_need_not_be_contiguous():
    mirrored = picture()[:, ::-1]
    drawn = overlay_of(frame(mirrored), prediction(), attention(1, 0), [mirrored, mirrored])
    straight = np.ascontiguousarray(mirrored)
    assert (drawn == overlay_of(frame(straight), prediction(), attention(1, 0), [straight] * 2)).all()


def test_frame_without_prediction_shows_no_attention():
    image = picture()
    drawn = overlay_of(frame(image), None, None, [])
    assert regions(changed(image, drawn)) == (True, False, True, False)


def test_held_prediction_is_dimmer_when_it_is_not_fresh_and_gets_older():
    image = picture(value=0)
    own = overlay_of(frame(image), prediction(), None, [])
    held = [
        overlay_of(frame(image), None, None, [], held=prediction(capture_ns=(1_000 - age) * MS))
        for age in (300, 400)
    ]
    fresh = overlay_of(frame(image), None, None, [], held=prediction(capture_ns=900 * MS))
    labels = np.s_[330:, :250]
    assert own[labels].max(axis=2).sum() > held[0][labels].max(axis=2).sum()
    assert (held[0] != held[1]).any()
    assert (fresh[labels] == own[labels]).all()


def test_own_prediction_comes_before_the_held_one():
    image = picture()
    with_held = overlay_of(frame(image), prediction(), None, [], held=prediction(capture_ns=0))
    assert (with_held == overlay_of(frame(image), prediction(), None, [])).all()


def test_first_frames_say_that_the_past_is_missing():
    image = picture()
    pictures = [
        overlay_of(frame(image), prediction(depth=depth), attention(1, 0, depth=depth), [image] * depth)
        for depth in (0, 1, 2)
    ]
    thumbnails = [drawn[350:, 400:] for drawn in pictures]
    assert (thumbnails[0] != thumbnails[1]).any()
    assert (thumbnails[1] != thumbnails[2]).any()
    left_empty = np.s_[375:430, 425:500]
    assert (pictures[0][left_empty] == pictures[1][left_empty]).all()
    assert not regions(changed(image, pictures[0]))[3]


def test_no_arrows_without_past():
    image = picture()
    drawn = overlay_of(frame(image), prediction(depth=0), attention(depth=1), [])
    assert not changed(image, drawn)[100:300].any()


def test_attention_of_the_wrong_shape_is_refused():
    with pytest.raises(ValueError, match="attention has shape"):
        overlay_of(frame(), prediction(), np.zeros((3, 3), np.float16), [])


@pytest.mark.parametrize("past", [1, 3, 6])
def test_other_numbers_of_past_frames(past):
    image = picture()
    weights = attention(1, 0, past=past, depth=past)
    drawn = overlay_of(frame(image), prediction(depth=past, past=past), weights, [image] * past)
    assert regions(changed(image, drawn))[1]


def test_status_line_drops_what_has_no_room():
    def ink(width, items):
        canvas = np.zeros((200, width, 3), np.uint8)
        draw_status_line(canvas, items)
        return canvas

    first, last = StatusItem("door", 0), StatusItem("a long entry that has to go", 9)
    assert (ink(160, [last, first]) == ink(160, [first])).all()
    assert (ink(600, [last, first]) != ink(600, [first])).any()
    brief = StatusItem("a long entry that has to go", 9, short="brief")
    assert (ink(160, [brief, first]) == ink(160, [StatusItem("brief", 9), first])).all()
    assert (ink(600, [brief, first]) == ink(600, [last, first])).all()


def scene(things, size, camera=CAMERA):
    """An overlay of moving things: the picture, and the boxes of all panels."""
    image = picture(*size)
    seen = msgspec.structs.replace(prediction(), things=things, camera=camera, attention=None)
    canvas, past = image.copy(), [image, image]
    boxes = paint_overlay(canvas, Shown(frame(image), seen, fps=30.0, latency_ms=20.0), past)
    return canvas, boxes


@pytest.mark.parametrize("depth", [0, 1])
def test_without_a_past_frame_nothing_is_said_of_motion(depth):
    image = picture(640, 480)

    def drawn(**seen):
        silent = msgspec.structs.replace(prediction(depth=depth), attention=None, **seen)
        return overlay_of(frame(image), silent, None, [])

    status, badge = np.s_[:44, :500], np.s_[44:, :500]
    told = drawn(things=[], camera=CAMERA)
    assert (told[status] == drawn(things=None, camera=CAMERA)[status]).all() == (depth == 0)
    assert (told[badge] == drawn(things=[], camera=None)[badge]).all() == (depth == 0)


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("count", [0, 1, 3, 12])
def test_no_panel_touches_another_or_leaves_the_picture(size, count):
    for seed in range(5):
        _, boxes = scene(many_things(count, seed), size)
        assert len(boxes) >= 3
        for box in boxes:
            assert min(box.x, box.y) >= 0
            assert box.right <= size[0]
            assert box.bottom <= size[1]
        assert not any(one.overlaps(other) for one, other in combinations(boxes, 2))


@pytest.mark.parametrize("size", [(320, 240), (640, 480), (1920, 1080)])
def test_the_number_of_things_has_room_in_the_status_line(size):
    lines = [scene(many_things(count), size)[0][: size[1] // 9] for count in (8, 9)]
    assert (lines[0] != lines[1]).any()


@pytest.mark.parametrize("size", [(320, 240), (1920, 1080)])
def test_what_the_camera_does_is_shown(size):
    pans = msgspec.structs.replace(CAMERA, speed=0.3)
    still, panning = (scene([], size, camera)[0] for camera in (CAMERA, pans))
    rows, columns = np.nonzero(changed(still, panning))
    assert len(rows)
    assert rows.max() < size[1] / 3
    assert columns.max() < size[0] * 2 / 3


@pytest.mark.parametrize("label", ["x" * 300, "préfet-日本", ""])
def test_any_label_stays_inside(label):
    image = picture()
    one = Frame(FrameId(label, 1, 0, 7), image, capture_ns=0)
    drawn = overlay_of(one, prediction(), attention(), [None, None])
    assert not changed(image, drawn)[:30, 635:].any()


SCRIPTS = [
    "жест 手",
    "ангел 日",
    "Ελληνικά",
    "Ανεμώνη!",
    "日本語",
    "한국어",
    "中文字",
    "سلام",
    "שלום",
    "Übung",
    "Ärger",
]


def test_labels_of_any_script_are_legible():
    """Signs that stand for what a font lacks would look alike."""

    def with_label(label):
        named = msgspec.structs.replace(prediction(), top=[(label, 0.75)])
        one = Frame(FrameId(label, 1, 0, 7), picture(), capture_ns=0)
        return overlay_of(one, named, None, [])

    pictures = [with_label(label) for label in SCRIPTS]
    for number, one in enumerate(pictures):
        for other in pictures[:number]:
            for part in (np.s_[:40], np.s_[430:]):
                assert (one[part] != other[part]).any()


@pytest.mark.parametrize("size", [(320, 240), (101, 97)])
def test_things_that_can_not_be_are_drawn_somehow(size):
    corners = [(0.0, 0.0), (1.0, 1.0), (0.0, 1.0)]
    for box in ((1.0, 1.0, 1.0, 1.0), (0.0, 0.0, 0.0, 0.0), (0.5, 0.5, 0.0, 1.0)):
        for speed in (0.0, 1e15):
            odd = msgspec.structs.replace(thing(box, 359.99, speed), outline=corners, was=[box, (1.0,) * 4])
            canvas, boxes = scene([odd, msgspec.structs.replace(odd, outline=[])], size)
            assert canvas.shape == (size[1], size[0], 3)
            assert not any(one.overlaps(other) for one, other in combinations(boxes, 2))
