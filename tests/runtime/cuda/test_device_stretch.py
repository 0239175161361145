import numpy as np
import pytest
import torch

from pipeline.runtime.cuda.device_stretch import DeviceStretch
from pipeline.runtime.threaded_stretch import Stretcher

SIZE = (48, 64)
SHAPES = [SIZE, (48, 48), (120, 160), (49, 200), (96, 96), (30, 200), (200, 30), (20, 20), (1, 1)]


def pictures(*shapes: tuple[int, int]) -> list[np.ndarray]:
    rng = np.random.default_rng(0)
    return [rng.integers(0, 256, (*shape, 3), np.uint8) for shape in shapes]


def stretched(images: list[np.ndarray], where: str = "cpu") -> np.ndarray:
    squares = torch.zeros(len(images), *SIZE, 3, dtype=torch.uint8, device=where)
    DeviceStretch(SIZE, torch.device(where))(images, squares)
    return squares.cpu().numpy()


@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_pixels_are_those_of_opencv_within_one_grey_level(shape: tuple[int, int]) -> None:
    images = pictures(shape, shape)
    off = np.abs(stretched(images).astype(int) - Stretcher(SIZE, 1)(images)[..., ::-1])
    assert off.max() <= 1
    assert off.mean() < 0.2


def test_pictures_of_several_sizes_keep_their_places_and_stay_as_they_are() -> None:
    images = pictures((60, 80), (48, 48), (60, 80), (90, 90))
    for image in images:
        image.flags.writeable = False
    together = stretched(images)
    for image, square in zip(images, together, strict=True):
        assert np.array_equal(square, stretched([image])[0])


def test_a_stretcher_is_used_again_and_again_with_other_sizes() -> None:
    stretch = DeviceStretch(SIZE, torch.device("cpu"))
    for count, side in [(1, 50), (3, 50), (2, 50), *((1, side) for side in range(51, 64)), (2, 50)]:
        images = pictures(*[(side, side)] * count)
        squares = torch.zeros(count, *SIZE, 3, dtype=torch.uint8)
        stretch(images, squares)
        assert np.array_equal(squares.numpy(), stretched(images))


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_the_gpu_does_the_same(shape: tuple[int, int]) -> None:
    images = pictures(shape, shape)
    off = np.abs(stretched(images, "cuda").astype(int) - Stretcher(SIZE, 1)(images)[..., ::-1])
    assert off.max() <= 1
