import base64

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.base.event import Moment
from pipeline.base.moving_thing import Thing
from pipeline.events.motion_log import DamagedChunkError, Part, pack, unpack
from pipeline.scene.motion_grid import MotionGrid
from pipeline.scene.rule_input import Cut, Look, in_steps
from pipeline.scene.steady_label import Held
from tests.base.test_sight import sight
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
    label=st.none() | st.builds(Held, st.text(max_size=20), shares, st.builds(Moment, times, times)),
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


OF_BEFORE_LABELS = """
AXicmzppEvOkxc6lJUvyy1KLgOyV8W5F+bkeqUWp7UvKMlPLl2Tk56auKEnMTs2LzytmWJqWX5qXcnhpcUZiUepp+wcMYLAsLTG5JL9o0mn7
DxCB0wxQsCw/La04tQQoswtdJrG4IDW55LT9Cwif7cgHBgUQYGAGAQaiQQGY9ACTYWCyH0wqYKhkIt5QMGABA+LVM4EB8erZjjI2kKpnloGR
kYERI/EawECAaJUmYJL44CdVPYMOmCTVA0SDLSSqBwBCvjeP
"""


def test_a_log_that_was_written_before_there_were_labels_can_be_read() -> None:
    """Something walks for 0.2 s; the view is known from the fourth look on, and before it was a cut."""
    walk = walked({1: straight(0.1, 0.6, 0.15, 0.0)}, 0.2)
    parts: list[Part] = [
        in_steps(Look(session=1, now=now, depth=2, things=things, sight=sight(offset=0.1) if n > 2 else None))
        for n, (now, things) in enumerate(walk)
    ]
    parts.insert(3, Cut("over"))
    assert unpack(base64.b64decode(OF_BEFORE_LABELS)) == parts


def test_a_label_takes_room_only_where_it_changes() -> None:
    def size(labels: list[Held]) -> int:
        walk = walked({}, 10.0)
        looks = [
            Look(session=1, now=now, depth=2, things=[], label=labels[n % len(labels)])
            for n, (now, _) in enumerate(walk)
        ]
        return len(pack([in_steps(look) for look in looks]))

    held = Held("open", 0.9, Moment(0, 10**18))
    assert size([held]) < size([held, Held("closed", 0.9, Moment(0, 10**18))]) / 3


def test_no_damaged_byte_goes_unnoticed() -> None:
    parts = [
        in_steps(Look(session=1, now=now, depth=2, things=things))
        for now, things in walked({1: straight(0.1, 0.6, 0.15, 0.0)}, 1.0)
    ]
    chunk = pack(parts)
    for place in range(len(chunk)):
        bad = bytearray(chunk)
        bad[place] ^= 0x10
        try:
            assert unpack(bytes(bad)) == parts  # a bit of zlib's header that says nothing
        except DamagedChunkError:
            continue
    for length in range(len(chunk)):
        with pytest.raises(DamagedChunkError):
            unpack(chunk[:length])
    with pytest.raises(DamagedChunkError, match="version"):
        unpack(b"\x07" + chunk[1:])
