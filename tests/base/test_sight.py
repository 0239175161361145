import math

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.base.moving_thing import Thing
from pipeline.base.sight import AT_HOME, MOST_OFFSET, Sight, Similarity, seen_from_home

PLACES = st.complex_numbers(max_magnitude=3, allow_nan=False)
SIMILARITIES = st.builds(
    lambda scale, angle, offset: Similarity(scale * complex(math.cos(angle), math.sin(angle)), offset),
    st.floats(0.4, 2.5),
    st.floats(-math.pi, math.pi),
    PLACES,
)


def sight(
    factor: complex = 1 + 0j,
    offset: complex = 0j,
    found: bool = True,
    view: str = "home",
    taken_ns: int = 0,
) -> Sight:
    return Sight(
        view=view,
        taken_ns=taken_ns,
        found=found,
        share=0.5,
        factor=(factor.real, factor.imag),
        offset=(offset.real, offset.imag),
        aspect=0.75,
    )


@given(SIMILARITIES, SIMILARITIES, PLACES)
def test_similarities_are_inverted_and_put_in_a_row(
    one: Similarity, other: Similarity, place: complex
) -> None:
    assert one.back(one(place)) == pytest.approx(place, abs=1e-9)
    assert one.inverse()(one(place)) == pytest.approx(place, abs=1e-9)
    assert one.then(other)(place) == pytest.approx(other(one(place)), abs=1e-9)


def test_the_largest_shift_is_that_of_a_corner() -> None:
    assert AT_HOME.largest_shift(0.75) == 0
    assert Similarity(1 + 0j, 0.3 + 0.4j).largest_shift(0.75) == pytest.approx(0.5)
    assert Similarity(1.1 + 0j, 0j).largest_shift(0.75) == pytest.approx(0.125)


def test_points_are_shares_of_width_and_height() -> None:
    moved = sight(offset=0.1 + 0.15j)  # in widths; of the height that is a fifth
    assert moved.in_picture((0.5, 0.5)) == pytest.approx((0.6, 0.7))
    assert moved.in_view((0.6, 0.7)) == pytest.approx((0.5, 0.5))


def test_a_thing_is_seen_as_if_the_camera_had_not_moved() -> None:
    thing = Thing(
        id=1, box=(0.4, 0.4, 0.2, 0.2), outline=[], speed=0.2, direction_deg=350.0, age_ms=0, score=0.9
    )
    turned = complex(math.cos(math.radians(20)), math.sin(math.radians(20)))  # clockwise, y is down
    home = seen_from_home(thing, sight(factor=2 * turned))
    assert home.speed == pytest.approx(0.1)
    assert home.direction_deg == pytest.approx(10.0)
    assert home.box[2:] == pytest.approx((0.1, 0.1))
    middle = home.box[0] + home.box[2] / 2, home.box[1] + home.box[3] / 2
    assert sight(factor=2 * turned).in_picture(middle) == pytest.approx((0.5, 0.5))


@pytest.mark.parametrize("changes", [{"factor": (0.0, 0.0)}, {"factor": (6.0, 0.0)}, {"aspect": 0.0}])
def test_a_peer_can_not_send_a_sight_that_divides_by_zero(changes: dict[str, object]) -> None:
    sent = {**msgspec.to_builtins(sight()), **changes}
    with pytest.raises(msgspec.ValidationError):
        msgspec.convert(sent, Sight)


def test_a_view_that_is_absurdly_far_off_is_neither_plausible_nor_taken_from_a_peer() -> None:
    assert Similarity(1 + 0j, complex(MOST_OFFSET)).is_plausible
    for far in (complex(MOST_OFFSET * 1.001), complex(0, -1e15), complex(math.nan)):
        assert not Similarity(1 + 0j, far).is_plausible
        sent = {**msgspec.to_builtins(sight()), "offset": (far.real, far.imag)}
        with pytest.raises(msgspec.ValidationError, match="offset"):
            msgspec.convert(sent, Sight)


@pytest.mark.parametrize("tiny", [5e-324, -5e-324, 0.0])
def test_a_turn_too_small_for_a_number_is_none(tiny: float) -> None:
    """``cmath.phase`` raises for it, and a peer may send it."""
    assert Similarity(complex(2.0, tiny), 0j).angle_deg == pytest.approx(0.0)
