"""Labels, their probabilities, and the verdict on the best one."""

import msgspec
import numpy as np

from pipeline.view.label_bar import draw_label_bar
from tests.view.samples import frame, picture, prediction


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


def test_a_prediction_that_is_not_scored_gets_no_verdict() -> None:
    """Across a cut, or without a past, there is nothing to be right or wrong about."""
    unscored = msgspec.structs.replace(prediction(), scored=False)
    for truth in ("pan_left", "static"):
        with_truth, without = picture(), picture()
        draw_label_bar(with_truth, frame(truth=truth), unscored)
        draw_label_bar(without, frame(), unscored)
        assert np.array_equal(with_truth, without)


def test_only_the_best_label_and_likely_ones_have_a_row() -> None:
    def height(*scores: float) -> int:
        top = [(f"label {rank}", score) for rank, score in enumerate(scores)]
        return draw_label_bar(picture(), frame(), msgspec.structs.replace(prediction(), top=top)).height

    one, two = height(0.98), height(0.9, 0.1)
    assert one < two
    assert height(0.985, 0.009, 0.006) == one
    assert height(0.9, 0.09, 0.002) == two
    assert height(0.005, 0.004) == one  # a model of many classes that are all unlikely


def test_labels_without_a_past_frame_are_dimmed_and_have_a_note() -> None:
    def drawn(depth: int) -> tuple[int, int]:
        canvas = picture(value=0)
        box = draw_label_bar(canvas, frame(), prediction(depth=depth))
        return box.height, int(
            (canvas[box.y : box.bottom, :, 0].astype(int) - canvas[box.y : box.bottom, :, 2] > 60).sum()
        )

    (low, coloured), (high, plain) = drawn(2), drawn(0)
    assert high > low
    assert plain * 5 < coloured
