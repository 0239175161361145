from itertools import islice

from benchmarks.replay_time import measure, repeated, walks


def test_walks_enter_leave_and_cross_and_repeating_them_goes_on_in_time() -> None:
    minute = measure("walks", walks(0.5), 60 * 10**9, 1)
    assert 1495 <= minute.looks <= 1505
    assert 740 <= minute.things <= 760
    assert minute.events == 3 * 5
    looks = list(islice(walks(1.0), 250))
    times = [look.now.time_ns for look in islice(repeated(looks), 600)]
    assert times == sorted(set(times))
    again = measure("again", repeated(looks), 20 * 10**9, 1)
    assert again.looks == 500
    assert again.events > 5
