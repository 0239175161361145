import random
from itertools import pairwise

import pytest

from pipeline.base.event import Moment
from pipeline.scene.steady_label import Held, SteadyLabel

FPS = 12.5
Top = list[tuple[str, float]]


def sees(label: str, score: float = 0.9) -> Top:
    return [(label, score), ({"open": "closed", "closed": "open"}[label], 1 - score)]


def moment(n: int, fps: float = FPS) -> Moment:
    at_ns = round(n / fps * 1e9)
    return Moment(at_ns + 1, at_ns + 10**18)


def held(looks: list[Top], fps: float = FPS) -> list[Held]:
    """The labels that counted, in order, each once."""
    steady, found = SteadyLabel(), list[Held]()
    for n, top in enumerate(looks):
        one = steady.see(top, moment(n, fps))
        if one and (not found or found[-1] != one):
            found.append(one)
    return found


def second(one: Held) -> float:
    return (one.since.time_ns - 1) / 1e9


@pytest.mark.parametrize("fps", [5.0, 12.5, 30.0])
def test_a_label_counts_after_a_moment_and_is_dated_when_it_began(fps: float) -> None:
    change = round(4 * fps)
    closed, opened = held([sees("closed")] * change + [sees("open")] * change, fps)
    assert (closed.label, opened.label) == ("closed", "open")
    assert second(closed) == pytest.approx(0.0, abs=0.01)
    assert second(opened) == pytest.approx(4.0, abs=1.1 / fps)
    assert opened.score == pytest.approx(0.9)


def test_a_label_that_leads_for_less_than_half_a_second_does_not_count() -> None:
    looks = [sees("closed")] * 50 + [sees("open")] * 6 + [sees("closed")] * 50
    assert [one.label for one in held(looks)] == ["closed"]


def test_flicker_between_two_labels_changes_nothing_whoever_counts() -> None:
    flicker = [sees(label) for _ in range(200) for label in ("open", "closed", "closed", "open")]
    for first in ("open", "closed"):
        assert [one.label for one in held([sees(first)] * 25 + flicker)] == [first]


def test_a_lead_within_the_margin_does_not_count() -> None:
    assert [one.label for one in held([sees("closed")] * 25 + [sees("open", 0.58)] * 500)] == ["closed"]
    assert held([sees("open", 0.58)] * 500) == []


def test_noise_that_flips_the_raw_label_every_few_looks_leaves_the_true_changes() -> None:
    """Right in seven of ten looks, in no order: 52 s in which the door opens, and closes again."""
    rng = random.Random(17)
    truth = ["closed"] * 200 + ["open"] * 250 + ["closed"] * 200
    other = {"open": "closed", "closed": "open"}
    looks = [sees(one if rng.random() < 0.7 else other[one], rng.uniform(0.6, 1.0)) for one in truth]
    raw = [top[0][0] for top in looks]
    assert sum(a != b for a, b in pairwise(raw)) > 200
    found = held(looks)
    assert [one.label for one in found] == ["closed", "open", "closed"]
    assert [second(one) for one in found] == pytest.approx([0, 16, 36], abs=2.0)


def test_what_was_not_looked_at_is_no_evidence() -> None:
    steady = SteadyLabel()
    for n in range(25):
        steady.see(sees("closed"), moment(n))
    later = moment(2500)
    one = steady.see(sees("open"), later)
    assert one is not None
    assert one.label == "closed", "one look after a minute"


def test_of_many_labels_those_that_are_not_among_the_best_count_as_nought() -> None:
    rng = random.Random(3)
    looks = [[("run", 0.5), *((f"other {rng.randrange(1000)}", 0.1) for _ in range(2))] for _ in range(100)]
    assert [one.label for one in held(looks)] == ["run"]


def test_after_a_beginning_anew_nothing_counts() -> None:
    steady = SteadyLabel()
    for n in range(25):
        steady.see(sees("closed"), moment(n))
    steady.forget()
    assert steady.held is None
    assert steady.see(sees("open"), moment(3)) is None
