import numpy as np
import pytest
import torch

from pipeline.model.preprocessing import Preprocessing
from pipeline.runtime.pixels import Preprocessor

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


def test_type_follows_the_model() -> None:
    assert (
        Preprocessor(SETTINGS, CPU, torch.bfloat16)([np.zeros((9, 9, 3), np.uint8)]).dtype == torch.bfloat16
    )
