import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.base.config import load_config
from pipeline.base.event import Moment
from pipeline.base.moving_thing import Thing
from pipeline.base.ranges import MOST_COUNT
from pipeline.base.sight import MOST_OFFSET, Sight
from pipeline.events.motion_log import DamagedChunkError, LogPart, pack, unpack, unpack_counts
from pipeline.scene.motion_grid import MotionGrid
from pipeline.scene.rule_input import Cut, Look, in_steps
from pipeline.scene.steady_label import Held
from pipeline.wire.messages import PastFrame, Prediction
from tests.scene.walking import straight, walked
from tests.wire.peers import prediction
from workers.event_finder import EventFinder

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


LEAST, MOST = -(2**62), 2**62
EDGES = (0.0, 1.0, 0.5)
edge = st.sampled_from(EDGES)
far = st.sampled_from([-MOST_OFFSET, 0.0, MOST_OFFSET])
wire_things = st.builds(
    Thing,
    id=st.sampled_from([0, 1, MOST_COUNT]),
    box=st.tuples(edge, edge, edge, edge),
    outline=st.just([]),
    speed=st.sampled_from([0.0, 0.3, 1e15]),
    direction_deg=st.sampled_from([0.0, 359.9999]),
    age_ms=st.just(0.0),
    score=edge,
    was=st.just([(0.0, 0.0, 1.0, 1.0)]),
)
wire_sights = st.builds(
    Sight,
    view=st.just("home"),
    found=st.booleans(),
    share=edge,
    factor=st.sampled_from([(0.2, 0.0), (0.0, -5.0), (1.0, 0.0)]),
    offset=st.tuples(far, far),
    aspect=st.sampled_from([1e-3, 0.75, 1e3]),
)
wire_predictions = st.builds(
    prediction,
    st.just(1),
    session=st.sampled_from([0, MOST]),
    capture_ns=st.sampled_from([0, 10**18, MOST]),
    pts_ns=st.sampled_from([None, LEAST, 0, MOST]),
    policy=st.sampled_from(["every", "newest"]),
    past=st.sampled_from([[], [PastFrame(0, 0, 1e15)] * 64]),
    top=st.just([("open", 1.0)]),
    things=st.none() | st.lists(wire_things, max_size=3, unique_by=lambda one: one.id),
    sight=st.none() | wire_sights,
)

CONFIG = load_config(None, ["zones.yard.points=[[0.3, 0.3], [0.7, 0.3], [0.7, 0.9], [0.3, 0.9]]"])

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
def test_what_is_packed_comes_back_exactly(parts: list[LogPart]) -> None:
    kept = [in_steps(part) if isinstance(part, Look) else part for part in parts]
    assert unpack(pack(kept)) == kept
    seen = [one for one in kept if isinstance(one, Look)]
    counts = [(one.now.wall_ns, len(one.things) if one.depth else None) for one in seen]
    assert unpack_counts(pack(kept)) == counts


def test_a_thing_that_goes_through_the_picture_takes_few_bytes() -> None:
    """Exact times of a camera, one thing at 25 frames a second."""
    parts = [
        in_steps(Look(session=1, now=now, depth=2, things=things))
        for now, things in walked({1: straight(0.1, 0.6, 0.15, 0.0)}, 5.0)
    ]
    assert len(pack(parts)) < 5 * 200
    empty = [Look(session=1, now=look.now, depth=2, things=[]) for look in parts]
    assert len(pack(empty)) < 5 * 20


@settings(deadline=None, database=None)
@given(st.lists(wire_predictions, min_size=1, max_size=8))
def test_the_extremes_that_the_wire_lets_through_are_kept_exactly(predictions: list[Prediction]) -> None:
    kept: list[LogPart] = []
    finder = EventFinder("front", CONFIG, lambda _, part: kept.append(part))
    for sent in predictions:
        finder.take(msgspec.msgpack.decode(msgspec.msgpack.encode(sent), type=Prediction))
    finder.end("the stream has ended")
    assert unpack(pack(kept)) == kept
    seen = [one for one in kept if isinstance(one, Look)]
    counts = [(one.now.wall_ns, len(one.things) if one.depth else None) for one in seen]
    assert unpack_counts(pack(kept)) == counts


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
        with pytest.raises(DamagedChunkError):
            unpack(bytes(bad))
        with pytest.raises(DamagedChunkError):
            unpack_counts(bytes(bad))
    for length in range(len(chunk)):
        with pytest.raises(DamagedChunkError):
            unpack(chunk[:length])
    with pytest.raises(DamagedChunkError, match="version"):
        unpack(b"\x07" + chunk[1:])
