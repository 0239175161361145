"""Directions as things and movers carry them."""

import msgspec
import pytest

from pipeline.base.moving_thing import Mover, within_turn


@pytest.mark.parametrize(
    ("degrees", "expected"), [(0, 0), (90, 90), (-90, 270), (360, 0), (725, 5), (-1e-15, 0), (-1e-300, 0)]
)
def test_a_direction_is_one_that_a_message_may_carry(degrees: float, expected: float) -> None:
    found = within_turn(degrees)
    assert found == expected
    mover = Mover(box=(0, 0, 1, 1), speed=1, direction_deg=found)
    assert msgspec.msgpack.decode(msgspec.msgpack.encode(mover), type=Mover) == mover
