import threading

import cv2
import numpy as np
import pytest
import torch

from pipeline.base.stretch import bands, stretch
from pipeline.model.preprocessing import Preprocessing
from pipeline.runtime.pixels import Preprocessor, Stretcher

SETTINGS = Preprocessing(32, (0.5, 0.4, 0.3), (0.2, 0.25, 0.1))
CPU = torch.device("cpu")


def preprocessor() -> Preprocessor:
    return Preprocessor(SETTINGS, CPU, torch.float32)


def test_channels_are_turned_and_normalised() -> None:
    image = np.empty((32, 32, 3), np.uint8)
    image[:] = (10, 100, 200)  # blue, green, red
    frame = preprocessor()([image])
    expected = [(200 / 255 - 0.5) / 0.2, (100 / 255 - 0.4) / 0.25, (10 / 255 - 0.3) / 0.1]
    torch.testing.assert_close(frame, torch.tensor(expected).view(1, 3, 1, 1).expand(1, 3, 32, 32))
    assert frame.is_contiguous(memory_format=torch.channels_last)


@pytest.mark.parametrize("shape", [(480, 640), (1080, 1920), (32, 32), (16, 20), (20, 200)])
def test_pictures_are_stretched_whole_and_upright(shape: tuple[int, int]) -> None:
    rows, columns = shape
    image = np.zeros((rows, columns, 3), np.uint8)
    image[: rows // 4, : columns // 2] = 255
    bright = preprocessor()([image])[0].mean(0) > 1.5
    assert bright[:7, :15].all()
    assert not bright[10:].any()
    assert not bright[:, 18:].any()


def test_fine_patterns_are_averaged_when_shrinking() -> None:
    image = np.zeros((512, 512, 3), np.uint8)
    image[:, ::2] = 200
    spread = preprocessor()([image]).amax((2, 3)) - preprocessor()([image]).amin((2, 3))
    assert spread.max() < 0.05


def test_pictures_of_different_sizes_in_one_batch_and_without_change() -> None:
    rng = np.random.default_rng(0)
    images = [rng.integers(0, 256, (rows, 50, 3), np.uint8) for rows in (40, 60)]
    for image in images:
        image.flags.writeable = False
    before = [image.copy() for image in images]
    batch = preprocessor()(images)
    torch.testing.assert_close(batch, torch.cat([preprocessor()([image]) for image in images]))
    assert all(np.array_equal(a, b) for a, b in zip(images, before, strict=True))


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


def test_type_follows_the_model() -> None:
    assert (
        Preprocessor(SETTINGS, CPU, torch.bfloat16)([np.zeros((9, 9, 3), np.uint8)]).dtype == torch.bfloat16
    )
