import pytest

from pipeline.model.preprocessing import Preprocessing


@pytest.mark.parametrize(
    ("camera", "size"),
    [
        ((480, 640), (192, 256)),
        ((640, 480), (256, 192)),
        ((1080, 1920), (160, 256)),
        ((120, 160), (192, 256)),
        ((500, 500), (256, 256)),
        ((10, 4000), (32, 256)),
    ],
    ids=str,
)
def test_a_picture_keeps_its_aspect_with_sides_that_are_multiples_of_32(
    camera: tuple[int, int], size: tuple[int, int]
) -> None:
    kept = Preprocessing(256, keep_aspect=True)
    assert kept.picture_size(*camera) == size
    assert kept.picture_size(*size) == size, "a picture of the model's size stays as it is"
    assert Preprocessing(200).picture_size(*camera) == (200, 200), "without it all become squares"


def test_a_longer_side_that_is_no_multiple_of_32_is_refused() -> None:
    with pytest.raises(ValueError, match="multiple of 32"):
        Preprocessing(200, keep_aspect=True)
