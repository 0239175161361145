from hypothesis import given
from hypothesis import strategies as st

from pipeline.base.event import Moment
from pipeline.base.moving_thing import Thing
from pipeline.base.sight import Sight
from pipeline.scene.rule_input import (
    BOX_STEPS,
    MOST_SPEED,
    SCORE_STEPS,
    SIGHT_STEPS,
    SPEED_STEPS,
    TICK_NS,
    TURN_STEPS,
    Look,
    in_steps,
)
from pipeline.scene.steady_label import Held

shares = st.floats(0, 1)
times = st.integers(0, 2**62)
moments = st.builds(Moment, times, times)
things = st.builds(
    Thing,
    id=st.integers(0, 2**53),
    box=st.tuples(st.floats(-3, 3), st.floats(-3, 3), shares, shares),
    outline=st.just([(0.5, 0.5)]),
    speed=st.floats(0, 10),
    direction_deg=st.floats(0, 360, exclude_max=True),
    age_ms=st.floats(0, 1e6),
    score=shares,
)
sights = st.builds(
    Sight,
    view=st.just("home"),
    found=st.booleans(),
    share=shares,
    factor=st.tuples(st.floats(0.4, 2), st.floats(-1, 1)),
    offset=st.tuples(st.floats(-5, 5), st.floats(-5, 5)),
    aspect=st.floats(0.3, 3),
)
looks = st.builds(
    Look,
    session=st.integers(0, 9),
    now=moments,
    depth=st.integers(0, 9),
    things=st.lists(things, max_size=3),
    sight=st.none() | sights,
    label=st.none() | st.builds(Held, st.text(max_size=5), shares, moments),
)


@given(looks)
def test_what_is_in_steps_stays_as_it_is(look: Look) -> None:
    once = in_steps(look)
    assert in_steps(once) == once


@given(looks)
def test_nothing_is_off_by_more_than_half_a_step(look: Look) -> None:
    kept = in_steps(look)
    assert (kept.session, kept.depth, len(kept.things)) == (look.session, look.depth, len(look.things))
    assert all(0 <= was - now < TICK_NS for was, now in zip(look.now, kept.now, strict=True))
    for was, now in zip(sorted(look.things, key=lambda thing: thing.id), kept.things, strict=True):
        assert now.id == was.id
        near = zip(was.box, now.box, strict=True)
        assert all(abs(one - other) <= 0.5001 / BOX_STEPS for one, other in near)
        assert abs(was.speed - now.speed) <= 0.5001 / SPEED_STEPS
        assert abs(was.score - now.score) <= 0.5001 / SCORE_STEPS
        turn = abs(was.direction_deg - now.direction_deg)
        assert min(turn, 360 - turn) <= 0.5001 * 360 / TURN_STEPS
        assert 0 <= now.direction_deg < 360
    if look.sight and kept.sight:
        pairs = zip(look.sight.offset + look.sight.factor, kept.sight.offset + kept.sight.factor, strict=True)
        assert all(abs(one - other) <= 0.5001 / SIGHT_STEPS for one, other in pairs)
    assert (look.sight is None, look.label is None) == (kept.sight is None, kept.label is None)
    if look.label and kept.label:
        assert kept.label.label == look.label.label


def test_what_a_rule_does_not_see_is_not_kept_and_an_absurd_speed_is_bounded() -> None:
    seen = Thing(id=1, box=(0, 0, 1, 1), outline=[(0.1, 0.1)], speed=1e15, direction_deg=1, age_ms=9, score=1)
    (thing,) = in_steps(Look(session=1, now=Moment(0, 0), depth=1, things=[seen])).things
    assert (thing.outline, thing.age_ms, thing.speed) == ([], 0.0, MOST_SPEED)
