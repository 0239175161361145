import numpy as np
import pytest

from pipeline.flow.unchanged import LastPicture


def picture(seed: int = 0, shape: tuple[int, int] = (64, 96)) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (*shape, 3), np.uint8)


def test_the_same_picture_is_found_in_other_memory() -> None:
    last = LastPicture[str]()
    assert last.find(picture()) is None
    last.keep(picture(), "first")
    assert last.find(picture()) == "first"
    assert last.find(picture(1)) is None
    assert last.find(picture(0, (96, 64))) is None


def test_one_grey_level_in_one_pixel_is_a_change() -> None:
    last, changed = LastPicture[str](), picture()
    last.keep(picture(), "first")
    for place in ((0, 0, 0), (32, 50, 1), (63, 95, 2)):
        changed[place] ^= 1
        assert last.find(changed) is None
        changed[place] ^= 1
    assert last.find(changed) == "first"


def test_it_keeps_a_copy() -> None:
    last, image = LastPicture[str](), picture()
    last.keep(image, "first")
    image[:] = 0
    assert last.find(image) is None
    assert last.find(picture()) == "first"


def test_the_newest_one_counts_whatever_its_size() -> None:
    last = LastPicture[str]()
    for seed, shape in [(0, (64, 96)), (1, (64, 96)), (2, (40, 40)), (3, (64, 96))]:
        last.keep(picture(seed, shape), str(seed))
        assert last.find(picture(seed, shape)) == str(seed)
    assert last.find(picture(0)) is None


def test_a_threshold_lets_noise_pass_and_slow_changes_add_up() -> None:
    image = np.full((64, 64, 3), 100, np.uint8)
    last = LastPicture[str](tolerance=2.0)
    last.keep(image, "first")
    assert last.find(image + 2) == "first"
    assert last.find(image - 2) == "first"
    assert last.find(image + 3) is None
    dark = np.zeros((64, 64, 3), np.uint8)
    last.keep(dark, "dark")
    assert last.find(np.full_like(dark, 255)) is None  # differences don't wrap around


@pytest.mark.parametrize("shape", [(1, 1), (3, 1000), (1000, 3)])
def test_any_size_will_do(shape: tuple[int, int]) -> None:
    for tolerance in (0.0, 1.0):
        last = LastPicture[str](tolerance)
        last.keep(picture(0, shape), "kept")
        assert last.find(picture(0, shape)) == "kept"
