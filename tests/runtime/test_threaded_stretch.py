import threading

import cv2
import numpy as np
import pytest

from pipeline.base.stretch import bands, stretch
from pipeline.runtime.threaded_stretch import Stretcher


@pytest.mark.parametrize("most", [2, 3, 8])
@pytest.mark.parametrize(
    ("shape", "parts"),
    [
        ((480, 640), {2: 2, 3: 2, 8: 8}),
        ((1080, 1920), {2: 2, 3: 2, 8: 8}),
        ((486, 641), {2: 2, 3: 2, 8: 2}),
        ((481, 640), {2: 1, 3: 1, 8: 1}),
        ((672, 300), {2: 2, 3: 2, 8: 8}),
        ((224, 224), {2: 2, 3: 2, 8: 8}),
        ((448, 100), {2: 1, 3: 1, 8: 1}),
    ],
    ids=str,
)
def test_bands_make_the_same_square(shape: tuple[int, int], parts: dict[int, int], most: int) -> None:
    image = np.random.default_rng(0).integers(0, 256, (*shape, 3), np.uint8)
    whole, banded = np.zeros((2, 224, 224, 3), np.uint8)
    stretch(image, whole)
    cut = bands(image, banded, most)
    assert len(cut) == parts[most]
    for band in cut:
        stretch(*band)
    assert np.array_equal(whole, banded)


def test_many_threads_stretch_like_one() -> None:
    rng = np.random.default_rng(0)
    images = [rng.integers(0, 256, (*shape, 3), np.uint8) for shape in ((1080, 1920), (48, 64), (960, 1280))]
    one, many = Stretcher((224, 160), 1), Stretcher((224, 160), 8)
    for batch in ([], images[:1], images, images[1:2], images[::-1] * 4):
        for _ in range(10):  # with more threads than cores some bands are the caller's, some are not
            assert np.array_equal(one(batch), many(batch))


def test_what_no_thread_comes_to_the_caller_stretches_itself() -> None:
    images = [np.random.default_rng(n).integers(0, 256, (1080, 1920, 3), np.uint8) for n in range(3)]
    busy, stretcher = threading.Event(), Stretcher((32, 32), 2)
    assert stretcher._pool is not None
    stretcher._pool.submit(busy.wait)
    try:
        assert np.array_equal(stretcher(images), Stretcher((32, 32), 1)(images))
    finally:
        busy.set()


def test_a_picture_that_opencv_refuses_is_an_error_on_any_thread() -> None:
    broken = np.zeros((960, 1280, 4), np.float64)
    with pytest.raises(cv2.error):
        Stretcher((224, 224), 2)([broken])
    assert Stretcher((224, 224), 2)([np.zeros((960, 1280, 3), np.uint8)]).max() == 0
