from workers.fleet.pauses import Pauses

S = 1_000_000_000
KEY = ("camera", "gate")


def test_pauses_grow_to_a_limit_and_are_short_again_once_it_was_done():
    pauses, now, long = Pauses(), 0, []
    assert not pauses.holds(KEY, now)
    assert pauses.begin(KEY, now), "the first refusal is told"
    for _ in range(8):
        began = now
        while pauses.holds(KEY, now):
            now += S // 4
        long.append((now - began) / S)
        assert not pauses.begin(KEY, now)
    assert long == [0.5, 1, 2, 4, 8, 16, 30, 30]
    assert not pauses.holds(("camera", "yard"), now)
    pauses.end(KEY)
    assert not pauses.holds(KEY, now)
    assert pauses.begin(KEY, now)
    assert not pauses.holds(KEY, now + S // 2)
