import numpy as np
import pytest

from pipeline.training.evaluation.corruptions import CORRUPTIONS
from tests.support import need_module
from tests.training.evaluation.data_sets import textured

PICTURES = [textured(97, 129), textured(97, 129, seed=1)]


def corrupted(name: str) -> list[np.ndarray]:
    found = CORRUPTIONS[name](PICTURES, np.random.default_rng(0))
    assert [picture.shape for picture in found] == [(97, 129, 3)] * 2
    assert all(picture.dtype == np.uint8 for picture in found)
    return [picture.astype(float) for picture in found]


def test_noise_has_a_sigma_of_20_and_differs_between_pictures() -> None:
    noise = [after - before for after, before in zip(corrupted("noise"), PICTURES, strict=True)]
    middle = [(picture > 80) & (picture < 180) for picture in PICTURES]  # nothing is cut off there
    assert all(19 < each[inside].std() < 21 for each, inside in zip(noise, middle, strict=True))
    assert abs(np.corrcoef(noise[0].ravel(), noise[1].ravel())[0, 1]) < 0.05


def test_low_light_is_a_quarter_with_noise() -> None:
    for after, before in zip(corrupted("low_light"), PICTURES, strict=True):
        assert 4.5 < (after - before / 4)[before > 80].std() < 5.5


def test_light_jumps_at_the_newest_picture() -> None:
    past, new = corrupted("light_jump")
    assert np.array_equal(past, PICTURES[0])
    assert np.abs(new - PICTURES[1] * 0.6).max() <= 0.5


@pytest.mark.parametrize("name", ["jpeg", "h264"])
def test_codecs_keep_each_picture_and_lose_detail(name: str) -> None:
    if name == "h264":
        need_module("av", "av")
    for after, before, other in zip(corrupted(name), PICTURES, reversed(PICTURES), strict=True):
        assert 1 < np.abs(after - before).mean() < 15
        assert np.abs(after - other).mean() > 40
