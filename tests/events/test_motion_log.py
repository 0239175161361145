import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.base.event import Moment
from pipeline.base.moving_thing import Thing
from pipeline.events.motion_log import DamagedChunkError, Part, pack, unpack
from pipeline.scene.motion_grid import MotionGrid
from pipeline.scene.rule_input import Cut, Look, in_steps
from tests.scene.walking import straight, walked

shares = st.floats(0, 1)
times = st.integers(-(2**60), 2**60)


@st.composite
def things(draw: st.DrawFn) -> Thing:
    return Thing(
        id=draw(st.integers(0, 2**53)),
        box=(draw(shares), draw(shares), draw(shares), draw(shares)),
        outline=[],
        speed=draw(st.floats(0, 1e15)),
        direction_deg=draw(st.floats(0, 360, exclude_max=True)),
        age_ms=1.0,
        score=draw(shares),
    )


looks = st.builds(
    Look,
    session=st.integers(0, 2**62),
    now=st.builds(Moment, times, times),
    depth=st.integers(0, 64),
    things=st.lists(things(), max_size=4),
)
between = st.builds(Cut, st.text(max_size=20)) | st.builds(
    MotionGrid, st.integers(0, 2**62), st.binary(max_size=20)
)


@settings(deadline=None, database=None)
@given(st.lists(looks | between, max_size=12))
def test_what_is_packed_comes_back_exactly(parts: list[Part]) -> None:
    kept = [in_steps(part) if isinstance(part, Look) else part for part in parts]
    assert unpack(pack(kept)) == kept


def test_a_thing_that_goes_through_the_picture_takes_few_bytes() -> None:
    """Exact times of a camera, one thing at 25 frames a second."""
    parts = [
        in_steps(Look(session=1, now=now, depth=2, things=things))
        for now, things in walked({1: straight(0.1, 0.6, 0.15, 0.0)}, 5.0)
    ]
    assert len(pack(parts)) < 5 * 200
    empty = [Look(session=1, now=look.now, depth=2, things=[]) for look in parts]
    assert len(pack(empty)) < 5 * 20


def test_no_damaged_byte_goes_unnoticed() -> None:
    parts = [
        in_steps(Look(session=1, now=now, depth=2, things=things))
        for now, things in walked({1: straight(0.1, 0.6, 0.15, 0.0)}, 1.0)
    ]
    chunk = pack(parts)
    for place in range(len(chunk)):
        bad = bytearray(chunk)
        bad[place] ^= 0x10
        with pytest.raises(DamagedChunkError):
            unpack(bytes(bad))
    for length in range(len(chunk)):
        with pytest.raises(DamagedChunkError):
            unpack(chunk[:length])
    with pytest.raises(DamagedChunkError, match="version"):
        unpack(b"\x07" + chunk[1:])
