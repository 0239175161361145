"""The last seconds of streams in memory."""

from hypothesis import given
from hypothesis import strategies as st

from pipeline.base.frame import FrameId
from pipeline.events.evidence_ring import EvidenceRing, KeptPicture

SECOND = 10**9


def kept(seq: int, at_s: float, nbytes: int = 100, stream_id: str = "door") -> KeptPicture[None]:
    at_ns = round(at_s * SECOND)
    return KeptPicture(FrameId(stream_id, 1, 0, seq), at_ns, 5 * SECOND + at_ns, bytes(nbytes), None, 8192)


def filled(count: int = 10, keep_s: float = 100.0) -> EvidenceRing[None]:
    ring = EvidenceRing[None](keep_s, 1 << 30)
    for seq in range(count):
        ring.add(kept(seq, seq))
    return ring


@given(
    st.lists(
        st.tuples(st.sampled_from("abc"), st.integers(0, 100_000), st.floats(0.0, 3.0), st.booleans()),
        max_size=60,
    )
)
def test_it_never_holds_more_than_it_may_and_finds_what_it_holds(
    steps: list[tuple[str, int, float, bool]],
) -> None:
    most, keep_s = 200_000, 5.0
    ring, now_s = EvidenceRing[None](keep_s, most), dict.fromkeys("abc", 0.0)
    for seq, (stream_id, nbytes, passes_s, is_held) in enumerate(steps):
        if is_held:
            ring.hold(stream_id, 0)
        now_s[stream_id] += passes_s
        ring.add(kept(seq, now_s[stream_id], nbytes, stream_id))
        there = [one for name in "abc" for one in ring.between(name, 0, 1 << 62)]
        assert ring.nbytes == sum(one.nbytes for one in there) <= most
        assert all(ring.find(one.id) is one for one in there)
        if ring.newest(stream_id) and not any(held for name, _, _, held in steps if name == stream_id):
            oldest = ring.between(stream_id, 0, 1 << 62)[0]
            assert now_s[stream_id] - oldest.time_ns / SECOND <= keep_s + 1e-6


def test_pictures_are_found_by_number_frame_and_time() -> None:
    ring = filled()
    assert [one.number for one in ring.between("door", 8 * SECOND, 10 * SECOND)] == [3, 4, 5]
    after = ring.after("door", 4)
    assert after is not None
    assert after.number == 5
    assert ring.after("door", 9) is None
    assert ring.after("gate", -1) is None
    for wall_s, number in ((2.0, 0), (7.5, 2), (99.0, 9)):
        at = ring.at("door", round(wall_s * SECOND))
        assert at is not None
        assert at.number == number
    since = ring.first_since("door", round(3.5 * SECOND))
    assert since is not None
    assert since.number == 4
    assert ring.find(FrameId("door", 1, 0, 99)) is None


def test_what_a_clip_still_needs_stays_for_longer() -> None:
    ring = filled(10, keep_s=3.0)
    assert [one.number for one in ring.between("door", 0, 1 << 62)] == [6, 7, 8, 9]
    ring.hold("door", 8)
    for seq in range(10, 20):
        ring.add(kept(seq, seq))
    assert [one.number for one in ring.between("door", 0, 1 << 62)] == list(range(8, 20))
    ring.hold("door", None)
    ring.add(kept(20, 20))
    assert [one.number for one in ring.between("door", 0, 1 << 62)] == [17, 18, 19, 20]


def test_the_next_one_after_a_number_that_is_gone_is_the_oldest() -> None:
    ring = filled(10, keep_s=3.0)
    after = ring.after("door", 1)
    assert after is not None
    assert after.number == 6


def test_a_source_that_begins_anew_begins_anew_here() -> None:
    ring = filled()
    ring.add(kept(10, 0.0))
    assert [one.number for one in ring.between("door", 0, 1 << 62)] == [10]


def test_the_stream_that_holds_most_gives_way() -> None:
    ring = EvidenceRing[None](100.0, 100_000)
    ring.add(kept(0, 0, 1000, "quiet"))
    for seq in range(20):
        ring.add(kept(seq, seq, 20_000, "busy"))
    assert ring.newest("quiet") is not None


def test_it_knows_what_had_to_go_for_want_of_room() -> None:
    ring = EvidenceRing[None](100.0, 100_000)
    for seq in range(20):
        ring.add(kept(seq, seq, 20_000))
    first = ring.first_since("door", 0)
    assert first is not None
    assert ring.has_dropped("door", first.time_ns - SECOND)
    assert not ring.has_dropped("door", first.time_ns)
    assert not ring.has_dropped("gate", 0)
    assert not filled(10, keep_s=3.0).has_dropped("door", 0)
    ring.add(kept(20, 0.0))  # begins anew
    assert not ring.has_dropped("door", 0)


def test_it_keeps_for_longer_from_the_moment_it_is_asked_to() -> None:
    ring = filled(10, keep_s=3.0)
    ring.keep(6.0)
    for seq in range(10, 20):
        ring.add(kept(seq, seq))
    assert [one.number for one in ring.between("door", 0, 1 << 62)] == list(range(13, 20))
