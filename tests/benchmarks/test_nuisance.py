import json
from pathlib import Path

import numpy as np
import pytest

from benchmarks.nuisance.comparison import bench
from benchmarks.nuisance.contest import METHODS, best_size
from benchmarks.nuisance.findings import Settings
from benchmarks.nuisance.rivals import BoxTracker, Differencing, Mog2
from benchmarks.nuisance.scoring import Score, Teller, TrueEvent, score
from benchmarks.nuisance.staged import NUISANCES, filmed
from pipeline.base.errors import ConfigError
from pipeline.base.frame import Image
from pipeline.base.moving_thing import Thing
from pipeline.video.tour import CANVAS_HEIGHT, CANVAS_WIDTH
from tests.scene.walking import Way, straight, thing

SECONDS = 20.0


def canvas() -> Image:
    return np.random.default_rng(0).integers(40, 220, (CANVAS_HEIGHT, CANVAS_WIDTH, 3), np.uint8)


def told(ways: dict[int, Way], fps: int = 10) -> Teller:
    teller = Teller()
    for n in range(round(SECONDS * fps)):
        things = [seen for number, way in ways.items() if (seen := thing(number, way, n / fps))]
        teller.take(things, n * 10**9 // fps)
    teller.cut("the end")
    return teller


def test_a_perfect_method_finds_all_and_tells_nothing_else() -> None:
    perfect = told({1: straight(-0.1, 0.8, 0.06, 0.0)})
    truth = perfect.truth()
    assert [(event.rule, event.from_s) for event in truth] == [
        ("entered", pytest.approx(5.0, abs=0.15)),
        ("moving", pytest.approx(5.0, abs=0.15)),
    ]
    found = score(perfect, truth, SECONDS)
    assert (found.true, found.found, found.false, found.false_quiet_s) == (2, 2, 0, 0.0)
    before_s, after_s = truth[1].from_s - 2.5 - 3, SECONDS - truth[1].to_s - 2.5
    assert found.quiet_s == pytest.approx(max(before_s, 0) + max(after_s, 0), abs=0.2)


def test_enterings_count_once_and_near_their_time_only() -> None:
    one = told({1: straight(-0.1, 0.8, 0.06, 0.0)})
    truth = [event for event in one.truth() if event.rule == "entered"]
    assert len(truth) == 1
    silent = score(told({}), truth, SECONDS)
    assert (silent.true, silent.found, silent.false) == (1, 0, 0)
    late = [TrueEvent("entered", truth[0].from_s - 2, truth[0].from_s - 1.9), *one.truth()[1:]]
    assert (score(one, late, SECONDS).found, score(one, late, SECONDS).false) == (1, 1)
    twice = told({1: straight(-0.1, 0.8, 0.06, 0.0), 2: straight(-0.1, 0.7, 0.06, 0.0)})
    assert (score(twice, one.truth(), SECONDS).found, score(twice, one.truth(), SECONDS).false) == (2, 1)
    pair = [TrueEvent("entered", truth[0].from_s, truth[0].to_s, at_most=2), *one.truth()[1:]]
    assert (score(twice, pair, SECONDS).found, score(twice, pair, SECONDS).false) == (2, 0)


def test_what_comes_before_backgrounds_are_learnt_does_not_count() -> None:
    early = told({1: straight(0.1, 0.8, 0.1, 0.0)})
    assert early.times("entered") == [pytest.approx(1.0, abs=0.15)]
    found = score(early, [TrueEvent("entered", 1.0, 1.0)], SECONDS)
    assert (found.true, found.found, found.false) == (0, 0, 0)


def test_motion_that_never_ends_is_no_find_but_quiet_time_called_motion() -> None:
    always = told({1: straight(0.3, 0.8, 0.01, 0.0)})
    truth = [TrueEvent("moving", 10.0, 11.0)]
    found = score(always, truth, SECONDS)
    assert (found.true, found.found) == (1, 0)
    assert found.quiet_s == pytest.approx(SECONDS - 3 - 6, abs=0.2)
    assert found.false_quiet_s == pytest.approx(found.quiet_s, abs=0.2)


def test_a_rival_is_tuned_to_find_as_much_then_to_tell_less_and_then_to_a_large_size() -> None:
    def of(found: int, false: int) -> Score:
        return Score(true=4, found=found, false=false, quiet_s=9.0, false_quiet_s=0.0)

    assert best_size({0.1: of(4, 9), 0.2: of(3, 1), 0.3: of(2, 0)}, wanted=3) == 0.2
    assert best_size({0.1: of(4, 9), 0.2: of(3, 1), 0.3: of(2, 0)}, wanted=4) == 0.1
    assert best_size({0.1: of(4, 1), 0.2: of(4, 1)}, wanted=4) == 0.2


@pytest.mark.parametrize("kind", [Mog2, Differencing])
def test_the_rivals_find_who_passes(kind: type[Mog2 | Differencing]) -> None:
    detector, tracker, teller, truth = kind(), BoxTracker(0.004), Teller(), Teller()
    for shown in filmed(canvas(), "none", 30.0):
        teller.take(tracker.update(detector.boxes(shown.image), shown.time_ns), shown.time_ns)
        truth.take(shown.truth, shown.time_ns)
    teller.cut("the end")
    truth.cut("the end")
    found = score(teller, truth.truth(), 30.0)
    assert found.true == 4
    assert found.found >= 3  # the background of a running average keeps a trace of who has passed


def test_differencing_calibrates_where_nearly_all_has_changed_and_then_sees_again() -> None:
    detector = Differencing()
    dark = np.random.default_rng(0).integers(40, 60, (480, 640, 3), np.uint8)
    with_box = dark.copy()
    with_box[200:300, 200:300] = 250
    for _ in range(20):
        assert detector.boxes(dark) == []
    assert len(detector.boxes(with_box)) == 1
    bright = np.full_like(dark, 250)
    bright[:96] = dark[:96]
    assert [detector.boxes(bright) for _ in range(3)] == [[]] * 3


def test_a_tracker_keeps_ids_and_forgets_small_boxes() -> None:
    tracker, things = BoxTracker(0.002), list[list[Thing]]()
    for n in range(10):
        boxes = [(0.1 + 0.02 * n, 0.5, 0.1, 0.2), (0.8, 0.1, 0.01, 0.01)]
        things.append(tracker.update(boxes, n * 10**8))
    assert [len(found) for found in things] == [0, 0] + [1] * 8
    assert {found[0].id for found in things[2:]} == {1}
    assert things[-1][0].direction_deg == 0.0
    assert things[-1][0].speed == pytest.approx(0.2, abs=0.01)


def test_each_nuisance_changes_the_picture_and_not_the_truth() -> None:
    films = {name: list(filmed(canvas(), name, 9.0, fps=4.0)) for name in NUISANCES}
    assert {len(film) for film in films.values()} == {36}
    plain = films.pop("none")
    for name, film in films.items():
        changed = [
            np.abs(one.image.astype(int) - other.image).mean() for one, other in zip(film, plain, strict=True)
        ]
        assert max(changed) > 0.3, name
        assert [one.truth for one in film] == [one.truth for one in plain]


def test_another_seed_is_another_film_and_an_empty_one_has_nobody() -> None:
    first, again, other = (
        list(filmed(canvas(), "shadow of a passer", 6.0, seed=seed, is_empty=True)) for seed in (1, 1, 2)
    )
    assert not any(shown.truth for shown in first)
    assert all(np.array_equal(a.image, b.image) for a, b in zip(first, again, strict=True))
    plain = list(filmed(canvas(), "none", 6.0, seed=1, is_empty=True))
    shadows = [
        [float(base.image.mean() - shown.image.mean()) for base, shown in zip(plain, film, strict=True)]
        for film in (first, other)
    ]
    assert max(shadows[0]) > 0.1
    assert np.abs(np.subtract(*shadows)).max() > 0.1


def test_an_unknown_nuisance_is_told(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="unknown nuisance 'hail'; expected one of: none, rain"):
        bench((), ["hail"], 16.0, Settings())
    with pytest.raises(ConfigError, match="can't be read as an image"):
        bench([tmp_path / "no.png"], ["none"], 16.0, Settings())


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_the_whole_bench_runs_and_is_stored(tmp_path: Path) -> None:
    bench((), ["none"], 16.0, Settings(json_file=tmp_path / "found.json"))
    (row,) = json.loads((tmp_path / "found.json").read_text())["results"]
    assert row["ours"] == {
        "true": 2,
        "found": 2,
        "false": 0,
        "quiet_s": row["mog2"]["quiet_s"],
        "false_quiet_s": 0.0,
    }
    assert row["other_events"] == {}
    assert set(METHODS) < set(row)
