"""Which past frames are picked, for cameras as they are: jitter, drops, pauses, changes of rate."""

import random

import pytest

from pipeline.model.history import StreamHistory

MS = 10**6


def run(times_ms: list[float], spacing_ms: float, num_past: int = 2) -> list[list[float | None]]:
    """Ages in ms of the slots chosen for each frame, oldest first."""
    history = StreamHistory[int](num_past, spacing_ms)
    ages = []
    for number, time_ms in enumerate(times_ms):
        slots = history.select(round(time_ms * MS))
        chosen = [slot for slot in slots if slot]
        assert all(slot.entry == f"entry {slot.key}" for slot in chosen)
        assert all(slot.age_ms == pytest.approx(time_ms - times_ms[slot.key], abs=1e-5) for slot in chosen)
        assert len({slot.key for slot in chosen}) == len(chosen), "no frame in two slots"
        ages.append([slot.age_ms if slot else None for slot in slots])
        history.append(number, round(time_ms * MS), f"entry {number}")
    return ages


def test_without_spacing_the_last_frames_in_a_row() -> None:
    assert run([0, 40, 1000, 1001], 0) == [[None, None], [None, 40], [1000, 960], [961, 1]]


def test_thirty_frames_a_second_at_a_tenth_of_a_second() -> None:
    ages = run([i * 100 / 3 for i in range(20)], 100)
    assert ages[:3] == [[None, None], [None, None], [None, pytest.approx(66.67, abs=0.01)]]
    assert all(slots == [pytest.approx(200), pytest.approx(100)] for slots in ages[6:])


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("fps", [25, 30, 60, 120])
def test_jitter_and_drops_stay_within_half_a_spacing(fps: int, seed: int) -> None:
    rng = random.Random(seed)
    interval = 1000 / fps
    times = [i * interval + rng.uniform(-0.3, 0.3) * interval for i in range(200) if rng.random() > 0.15]
    ages = run(times, 100)[20:]
    filled = [slots for slots in ages if None not in slots]
    assert len(filled) > 0.9 * len(ages)
    for older, newer in filled:
        assert 50 <= newer < 150 <= older < 250


@pytest.mark.parametrize("seed", range(3))
def test_the_nearest_frame_is_taken(seed: int) -> None:
    rng = random.Random(seed)
    times = sorted(rng.uniform(0, 3000) for _ in range(150))
    for n, slots in enumerate(run(times, 100)):
        older = [times[n] - t for t in times[:n]]
        for i, age in zip((2, 1), slots, strict=True):
            window = [a for a in older if (i - 0.5) * 100 <= a < (i + 0.5) * 100]
            assert age == (pytest.approx(min(window, key=lambda a: abs(a - i * 100))) if window else None)


@pytest.mark.parametrize("interval", [100, 140, 200, 900])
def test_slow_cameras_give_their_last_frames(interval: int) -> None:
    rng = random.Random(0)
    times = [i * interval + rng.uniform(0, 8) for i in range(12)]
    for n, slots in enumerate(run(times, 100)):
        assert slots == [pytest.approx(times[n] - times[n - i]) if n >= i else None for i in (2, 1)]


def test_a_pause_leaves_slots_empty_instead_of_lying() -> None:
    times = [i * 33 for i in range(20)] + [19 * 33 + 600 + i * 33 for i in range(10)]
    ages = run(times, 100)
    assert ages[20] == [None, None]
    assert all(age is None or age < 250 for slots in ages[20:] for age in slots)
    assert ages[27] == [198, 99]


def test_a_frame_halfway_between_two_slots_fills_the_older_one_only() -> None:
    assert run([0, 10, 20, 30, 40, 290, 440], 100)[-1] == [150, None]


def test_changes_of_rate_are_followed_within_a_few_frames() -> None:
    fast, slow = [i * 33 for i in range(30)], [29 * 33 + i * 300 for i in range(1, 8)]
    again = [slow[-1] + i * 33 for i in range(1, 30)]
    ages = run([*fast, *slow, *again], 100)
    assert ages[29 + 7] == [600, 300]
    assert ages[-1] == [198, 99]


def test_more_slots() -> None:
    assert run([i * 50 for i in range(12)], 100, num_past=4)[-1] == [400, 300, 200, 100]


@pytest.mark.parametrize(("fps", "most"), [(10, 3), (30, 9), (240, 62)])
def test_memory_is_bounded(fps: int, most: int) -> None:
    history = StreamHistory[int](2, 100)
    for i in range(2000):
        history.append(i, round(i * 1e9 / fps), None)
    assert 2 <= len(history) <= most
    consecutive = StreamHistory[int](2)
    for i in range(100):
        consecutive.append(i, i, None)
    assert len(consecutive) == 2


@pytest.mark.parametrize("num_past", [1, 2, 4])
@pytest.mark.parametrize(("fps", "spacing_ms"), [(30, 2_000), (30, 60_000), (500, 100)])
def test_a_long_spacing_needs_no_more_memory_and_slots_stay_near_their_times(
    fps: int, spacing_ms: float, num_past: int
) -> None:
    history = StreamHistory[int](num_past, spacing_ms)
    for number in range(round((num_past + 2) * spacing_ms * fps / 1e3)):
        now_ns = round(number * 1e9 / fps)
        slots = history.select(now_ns)
        for back, slot in enumerate(reversed(slots), 1):
            if now_ns >= back * spacing_ms * MS and number > 4:
                assert slot is not None
                assert abs(slot.age_ms - back * spacing_ms) < 0.1 * spacing_ms
        history.append(number, now_ns, None)
        assert len(history) <= 32 * num_past


class Endless(StreamHistory[int]):
    def _forget(self, now_ns: int) -> None:
        pass


def test_nothing_that_can_still_be_picked_is_forgotten() -> None:
    rng = random.Random(4)
    bounded, endless = StreamHistory[int](2, 100), Endless(2, 100)
    now = 0
    for number in range(600):
        now += rng.choice([5, 20, 33, 33, 33, 120, 400] if number % 60 < 40 else [150, 200]) * MS
        assert bounded.select(now) == endless.select(now)
        bounded.append(number, now, None)
        endless.append(number, now, None)
    assert len(endless) > len(bounded) + 500


def test_only_older_frames_count_and_a_clock_that_goes_back_empties() -> None:
    history = StreamHistory[str](2)
    history.append("a", 100, 1)
    history.append("b", 200, 2)
    assert [slot and slot.key for slot in history.select(200)] == [None, "a"]
    assert history.depth == 2
    history.append("c", 150, 3)
    assert [slot and slot.key for slot in history.select(300)] == [None, "c"]


def test_reset_forgets_everything() -> None:
    history = StreamHistory[int](2, 100)
    for i in range(20):
        history.append(i, i * 33 * MS, None)
    assert history.depth == 2
    history.reset()
    assert (len(history), history.depth) == (0, 0)
    assert history.select(21 * 33 * MS) == [None, None]


@pytest.mark.parametrize("arguments", [(0, 0), (2, -1)])
def test_senseless_arguments_are_refused(arguments: tuple[int, float]) -> None:
    with pytest.raises(ValueError, match="invalid history"):
        StreamHistory(*arguments)


def test_frames_that_turned_out_to_be_worthless_are_forgotten() -> None:
    history = StreamHistory[int](2, 0)
    for number in range(5):
        history.append(number, number * 40 * MS, f"entry {number}")
    history.forget_since(160 * MS)
    assert [slot.key for slot in history.select(200 * MS) if slot] == [3]
    history.forget_since(0)
    assert history.depth == 0


@pytest.mark.parametrize(("fps", "spacing"), [(30, 100), (60, 100), (5, 100), (25, 0), (10, 100)])
def test_of_frames_in_a_row_those_that_the_next_one_looks_at(fps: int, spacing: float) -> None:
    """Who remembers these and notes the others looks at what it would have, remembering all of them."""
    before = max(8, fps // 4 + 1)
    times = [round(i * 1000 * MS / fps) for i in range(before + 4)]
    whole, late = StreamHistory[int](2, spacing), StreamHistory[int](2, spacing)
    for time_ns in times[:before]:
        whole.append(time_ns, time_ns, None)
    wanted = late.wanted(times[:before], times[before])
    assert wanted == {slot.key for slot in whole.select(times[before]) if slot}
    assert len(wanted) == 2
    for time_ns in times[:before]:
        if time_ns in wanted:
            late.append(time_ns, time_ns, None)
        else:
            late.note(time_ns)
    for time_ns in times[before:]:
        slots = late.select(time_ns)
        assert None not in slots
        usual = [slot and slot.age_ms for slot in whole.select(time_ns)]
        assert [slot and slot.age_ms for slot in slots] == pytest.approx(usual, abs=spacing / 2)
        for history in (whole, late):
            history.append(time_ns, time_ns, None)


def test_what_is_wanted_changes_nothing() -> None:
    history = StreamHistory[int](2, 100)
    history.append(0, 0, "entry")
    assert history.wanted([50 * MS, 100 * MS], 200 * MS) == {100 * MS}
    assert len(history) == 1
    assert [slot and slot.key for slot in history.select(200 * MS)] == [None, 0]


def test_a_noted_frame_shows_how_fast_the_camera_is_after_a_fault_too() -> None:
    history = StreamHistory[int](2, 100)
    for number in range(4):
        history.append(number, number * 40 * MS, None)
    history.forget_since(80 * MS)
    history.append(4, 200 * MS, None)
    assert [slot and slot.key for slot in history.select(300 * MS)] == [None, 4]
