import msgspec
import numpy as np
import pytest

from pipeline.base.frame import Frame, FrameId
from pipeline.view.attention_overlay import draw_motion_arrows, make_thumbnail
from pipeline.view.canvas import Scale, fit_text, put_text, text_size
from pipeline.view.overlay import StatusItem, draw_label_bar, draw_overlay, draw_status_line
from tests.view.samples import MS, attention, frame, picture, prediction
from tests.view.test_attention_maps import field

SIZES = [(640, 480), (768, 576), (1920, 1080), (320, 240), (480, 854), (101, 97), (96, 400), (1200, 100)]


def changed(before, after):
    return np.abs(before.astype(int) - after).max(axis=2) > 4


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
    drawn = draw_overlay(frame(image, truth="pan_left"), prediction(), attention(1, 0), past, fps=30.0)
    assert drawn.shape == image.shape
    assert drawn.dtype == np.uint8
    assert not np.shares_memory(drawn, image)
    assert (image == value).all()
    assert regions(changed(image, drawn)) == (True, True, True, True)


def test_picture_without_room_is_only_copied():
    image = picture(60, 40)
    drawn = draw_overlay(frame(image), prediction(), attention(), [None, None])
    assert (drawn == image).all()
    assert drawn is not image


def test_same_input_same_picture():
    pictures = [draw_overlay(frame(), prediction(), attention(1, 1), [None, None], fps=9.0) for _ in "ab"]
    assert (pictures[0] == pictures[1]).all()


def test_picture_need_not_be_contiguous():
    mirrored = picture()[:, ::-1]
    drawn = draw_overlay(frame(mirrored), prediction(), attention(1, 0), [mirrored, mirrored])
    straight = np.ascontiguousarray(mirrored)
    assert (drawn == draw_overlay(frame(straight), prediction(), attention(1, 0), [straight] * 2)).all()


def test_frame_without_prediction_shows_no_attention():
    image = picture()
    drawn = draw_overlay(frame(image), None, None, [])
    assert regions(changed(image, drawn)) == (True, False, True, False)


def test_held_prediction_is_dimmer_and_gets_older():
    image = picture(value=0)
    own = draw_overlay(frame(image), prediction(), None, [])
    held = [
        draw_overlay(frame(image), None, None, [], held=prediction(capture_ns=(1_000 - age) * MS))
        for age in (100, 200)
    ]
    labels = np.s_[330:, :250]
    assert own[labels].max(axis=2).sum() > held[0][labels].max(axis=2).sum()
    assert (held[0] != held[1]).any()


def test_own_prediction_comes_before_the_held_one():
    image = picture()
    with_held = draw_overlay(frame(image), prediction(), None, [], held=prediction(capture_ns=0))
    assert (with_held == draw_overlay(frame(image), prediction(), None, [])).all()


def mark_colors(truth):
    canvas = np.zeros((480, 640, 3), np.uint8)
    draw_label_bar(canvas, frame(truth=truth), prediction())
    blue, green, red = (canvas[..., channel].astype(int) for channel in range(3))
    return int(((green > 150) & (red < 130) & (blue < 140)).sum()), int(((red > 180) & (green < 130)).sum())


def test_truth_marks_the_best_label():
    none, right, wrong = mark_colors(None), mark_colors("pan_left"), mark_colors("static")
    assert none == (0, 0)
    assert right[0] > 50
    assert right[1] == 0
    assert wrong[0] == 0
    assert wrong[1] > 50


def test_truth_is_no_verdict_on_a_held_prediction():
    images = []
    for truth in (None, "static"):
        canvas = picture()
        draw_label_bar(canvas, frame(truth=truth), None, held=prediction())
        images.append(canvas)
    assert (images[0] == images[1]).all()


def test_bar_grows_with_the_probability():
    def filled(score):
        canvas = picture(value=0)
        draw_label_bar(canvas, frame(), msgspec.structs.replace(prediction(), top=[("x", score)]))
        return int((canvas[440:, :, 0].astype(int) - canvas[440:, :, 2] > 60).sum())

    sizes = [filled(score) for score in (0.1, 0.5, 0.9)]
    assert sizes[0] * 2 < sizes[1] < sizes[2]


def test_arrows_only_where_attention_is_clear():
    canvas, clear = picture(), picture()
    motion = field(1, 0)
    motion.confidence[:] = 0.1
    draw_motion_arrows(canvas, motion)
    assert (canvas == clear).all()
    motion.confidence[3, 3] = 0.9
    draw_motion_arrows(canvas, motion)
    rows, columns = np.nonzero(changed(clear, canvas))
    assert 480 * 3 / 7 < rows.min() < rows.max() < 480 * 4 / 7
    assert 640 * 2.4 / 7 < columns.min() < columns.max() < 640 * 3.8 / 7


@pytest.mark.parametrize(("dx", "dy"), [(1, 0), (-1, 0), (0, 1), (0, -1)])
def test_arrow_head_is_at_the_end_of_the_motion(dx, dy):
    canvas, clear = picture(), picture()
    motion = field(dx, dy)
    keep = motion.confidence[3, 3]
    motion.confidence[:] = 0
    motion.confidence[3, 3] = keep
    draw_motion_arrows(canvas, motion)
    ys, xs = np.nonzero(changed(clear, canvas))
    along, across = xs * dx + ys * dy, xs * dy + ys * dx
    front = along > (along.min() + along.max()) / 2
    assert np.ptp(across[front]) > np.ptp(across[~front]) + 2  # the head is wider than the shaft


def test_still_content_is_a_dot():
    canvas, clear = picture(), picture()
    draw_motion_arrows(canvas, field(0, 0))
    count = changed(clear, canvas).sum()
    moving = picture()
    draw_motion_arrows(moving, field(1, 0))
    assert 49 * 4 < count < changed(clear, moving).sum() / 2


def test_first_frames_say_that_the_past_is_missing():
    image = picture()
    pictures = [
        draw_overlay(frame(image), prediction(depth=depth), attention(1, 0, depth=depth), [image] * depth)
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
    drawn = draw_overlay(frame(image), prediction(depth=0), attention(depth=1), [])
    assert not changed(image, drawn)[100:300].any()


def test_thumbnails_show_their_own_picture_oldest_left():
    red, blue = np.zeros((480, 640, 3), np.uint8), np.zeros((480, 640, 3), np.uint8)
    red[..., 2] = blue[..., 0] = 255
    even = np.full((49, 98), 1 / 98, np.float16)
    drawn = draw_overlay(frame(picture(value=0)), prediction(), even, [red, blue]).astype(int)
    panel = drawn[360:450, 400:]
    reds = np.nonzero(panel[..., 2] - panel[..., 0] > 80)[1]
    blues = np.nonzero(panel[..., 0] - panel[..., 2] > 80)[1]
    assert reds.size
    assert blues.size
    assert reds.max() < blues.min()


def test_attention_of_the_wrong_shape_is_refused():
    with pytest.raises(ValueError, match="attention has shape"):
        draw_overlay(frame(), prediction(), np.zeros((3, 3), np.float16), [])


@pytest.mark.parametrize("past", [1, 3, 6])
def test_other_numbers_of_past_frames(past):
    image = picture()
    weights = attention(1, 0, past=past, depth=past)
    drawn = draw_overlay(frame(image), prediction(depth=past, past=past), weights, [image] * past)
    assert regions(changed(image, drawn))[1]


def test_status_line_drops_what_has_no_room():
    def ink(width, items):
        canvas = np.zeros((200, width, 3), np.uint8)
        draw_status_line(canvas, items)
        return canvas

    first, last = StatusItem("door", 0), StatusItem("a long entry that has to go", 9)
    assert (ink(160, [last, first]) == ink(160, [first])).all()
    assert (ink(600, [last, first]) != ink(600, [first])).any()


@pytest.mark.parametrize("label", ["x" * 300, "préfet-日本", ""])
def test_any_label_stays_inside(label):
    image = picture()
    one = Frame(FrameId(label, 1, 0, 7), image, capture_ns=0)
    drawn = draw_overlay(one, prediction(), attention(), [None, None])
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
        return draw_overlay(one, named, None, [])

    pictures = [with_label(label) for label in SCRIPTS]
    for number, one in enumerate(pictures):
        for other in pictures[:number]:
            for part in (np.s_[:40], np.s_[430:]):
                assert (one[part] != other[part]).any()


def test_text_beyond_the_edge_is_cut_off():
    image = picture()
    for x, middle in ((-30, 10), (620, 10), (10, -2), (10, 479), (700, 10), (10, 900), (-900, -900)):
        canvas = image.copy()
        put_text(canvas, "pan_left", x, middle, 0.5, (255, 255, 255))
        seen = -60 < x < 640 and -10 < middle < 490
        assert (canvas != image).any() == seen


def test_fit_text():
    assert fit_text("pan_left", 0.5, 500) == "pan_left"
    short = fit_text("a_very_long_label", 0.5, 80)
    assert short.endswith("…")
    assert text_size(short, 0.5)[0] <= 80
    assert fit_text("wide", 0.5, 3) == ""


def test_sizes_follow_the_picture():
    units = [Scale.of(picture(*size)).unit for size in ((320, 240), (640, 480), (1920, 1080))]
    assert units[0] < units[1] == 1.0 < units[2]
    assert units[0] > 0.5


def test_thumbnail_keeps_the_aspect():
    assert make_thumbnail(picture(1920, 1080)).shape == (144, 256, 3)
    assert make_thumbnail(picture(100, 50)).shape == (50, 100, 3)


def test_a_prediction_that_is_not_scored_gets_no_verdict() -> None:
    """Across a cut, or without a past, there is nothing to be right or wrong about."""
    unscored = msgspec.structs.replace(prediction(), scored=False)
    for truth in ("pan_left", "static"):
        with_truth, without = picture(), picture()
        draw_label_bar(with_truth, frame(truth=truth), unscored)
        draw_label_bar(without, frame(), unscored)
        assert np.array_equal(with_truth, without)
