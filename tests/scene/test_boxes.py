import pytest

from pipeline.scene.boxes import Box, area, common, middle, moved, overlap

BOX = (0.2, 0.1, 0.6, 0.3)


def test_a_box_has_an_area_and_a_middle() -> None:
    assert area(BOX) == pytest.approx(0.08)
    assert middle(BOX) == pytest.approx((0.4, 0.2))


def test_a_box_moves_as_a_whole() -> None:
    assert moved(BOX, 0.1, -0.1) == pytest.approx((0.3, 0.0, 0.7, 0.2))


@pytest.mark.parametrize(
    ("other", "shared", "share"),
    [
        (BOX, 0.08, 1.0),
        ((0.4, 0.2, 0.8, 0.4), 0.02, 0.02 / 0.14),
        ((0.3, 0.15, 0.5, 0.25), 0.02, 0.25),
        ((0.6, 0.1, 0.8, 0.3), 0.0, 0.0),
        ((0.7, 0.5, 0.8, 0.6), 0.0, 0.0),
        ((0.3, 0.4, 0.5, 0.6), 0.0, 0.0),
    ],
)
def test_two_boxes_share(other: Box, shared: float, share: float) -> None:
    assert common(BOX, other) == common(other, BOX) == pytest.approx(shared)
    assert overlap(BOX, other) == overlap(other, BOX) == pytest.approx(share)
