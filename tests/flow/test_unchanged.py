import numpy as np
import pytest

from pipeline.flow.unchanged import KeptBytes, LastPicture

MANY = 2**30


def picture(seed: int = 0, shape: tuple[int, int] = (64, 96)) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (*shape, 3), np.uint8)


def test_the_same_picture_is_found_in_other_memory() -> None:
    last = LastPicture[str](KeptBytes(MANY))
    assert last.find(picture()) is None
    last.keep(picture(), "first")
    assert last.find(picture()) == "first"
    assert last.find(picture(1)) is None
    assert last.find(picture(0, (96, 64))) is None


def test_one_grey_level_in_one_pixel_is_a_change() -> None:
    last, changed = LastPicture[str](KeptBytes(MANY)), picture()
    last.keep(picture(), "first")
    for place in ((0, 0, 0), (32, 50, 1), (63, 95, 2)):
        changed[place] ^= 1
        assert last.find(changed) is None
        changed[place] ^= 1
    assert last.find(changed) == "first"


def test_it_keeps_a_copy() -> None:
    last, image = LastPicture[str](KeptBytes(MANY)), picture()
    last.keep(image, "first")
    image[:] = 0
    assert last.find(image) is None
    assert last.find(picture()) == "first"


def test_the_newest_one_counts_whatever_its_size() -> None:
    last = LastPicture[str](KeptBytes(MANY))
    for seed, shape in [(0, (64, 96)), (1, (64, 96)), (2, (40, 40)), (3, (64, 96))]:
        last.keep(picture(seed, shape), str(seed))
        assert last.find(picture(seed, shape)) == str(seed)
    assert last.find(picture(0)) is None


def test_a_threshold_lets_noise_pass_and_slow_changes_add_up() -> None:
    image = np.full((64, 64, 3), 100, np.uint8)
    last = LastPicture[str](KeptBytes(MANY), tolerance=2.0)
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
        last = LastPicture[str](KeptBytes(MANY), tolerance)
        last.keep(picture(0, shape), "kept")
        assert last.find(picture(0, shape)) == "kept"


@pytest.mark.parametrize(("tolerance", "fit"), [(0.0, 2), (1.0, 20)])
def test_what_all_streams_keep_is_bounded_and_an_ended_stream_gives_it_back(
    tolerance: float, fit: int
) -> None:
    kept = KeptBytes(2 * picture().nbytes)
    streams = [LastPicture[int](kept, tolerance) for _ in range(20)]
    for _ in range(2):
        for number, stream in enumerate(streams):
            stream.keep(picture(number), number)
    found = [number for number, stream in enumerate(streams) if stream.find(picture(number)) is not None]
    assert found == list(range(fit))
    for stream in streams:
        stream.forget()
        assert stream.find(picture(0)) is None
    streams[7].keep(picture(7), 7)
    streams[8].keep(picture(8), 8)
    assert (streams[7].find(picture(7)), streams[8].find(picture(8))) == (7, 8)


def test_a_picture_too_large_to_keep_is_not_mistaken_for_the_one_before() -> None:
    last = LastPicture[str](KeptBytes(picture().nbytes))
    last.keep(picture(), "small")
    last.keep(picture(0, (128, 96)), "large")
    assert last.find(picture(0, (128, 96))) is None
    assert last.find(picture()) is None
    last.keep(picture(), "small again")
    assert last.find(picture()) == "small again"
