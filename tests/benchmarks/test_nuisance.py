import json
from pathlib import Path

import numpy as np
import pytest

from benchmarks.nuisance.comparison import bench
from benchmarks.nuisance.rivals import BoxTracker, Differencing, Mog2
from benchmarks.nuisance.scoring import Score, Teller, score
from benchmarks.nuisance.staged import FPS, NUISANCES, filmed
from pipeline.base.errors import ConfigError
from pipeline.base.frame import Image
from pipeline.base.moving_thing import Thing
from pipeline.video.tour import CANVAS_HEIGHT, CANVAS_WIDTH
from tests.scene.walking import Way, straight, thing

SECONDS = 20.0


def canvas() -> Image:
    return np.random.default_rng(0).integers(90, 110, (CANVAS_HEIGHT, CANVAS_WIDTH, 3), np.uint8)


def told(ways: dict[int, Way], fps: int = 10) -> Teller:
    teller = Teller()
    for n in range(round(SECONDS * fps)):
        things = [seen for number, way in ways.items() if (seen := thing(number, way, n / fps))]
        teller.take(things, n * 10**9 // fps)
    teller.cut("the end")
    return teller


def test_enterings_count_once_and_near_their_time_only() -> None:
    truth = told({1: straight(0.0, 0.8, 0.1, 0.0)})
    assert truth.entered() == [pytest.approx(2.0, abs=0.15)]
    assert score(truth, truth, SECONDS) == Score(
        entered=1, found=1, false=0, quiet_s=pytest.approx(SECONDS - 4.5 - 6, abs=1), false_quiet_s=0.0
    )
    late = told({1: straight(-0.2, 0.8, 0.1, 0.0)})
    assert (score(late, truth, SECONDS).found, score(late, truth, SECONDS).false) == (0, 1)
    twice = told({1: straight(0.0, 0.8, 0.1, 0.0), 2: straight(0.0, 0.7, 0.1, 0.0)})
    assert (score(twice, truth, SECONDS).found, score(twice, truth, SECONDS).false) == (1, 1)
    assert score(told({}), truth, SECONDS).found == 0


def test_motion_in_quiet_time_is_counted_by_its_length() -> None:
    always = told({1: straight(0.3, 0.8, 0.01, 0.0)})
    found = score(always, told({}), SECONDS)
    assert found.quiet_s == SECONDS
    assert found.false_quiet_s == pytest.approx(SECONDS, abs=0.5)


@pytest.mark.parametrize("kind", [Mog2, Differencing])
def test_the_rivals_find_who_passes(kind: type[Mog2 | Differencing]) -> None:
    detector, tracker, teller, truth = kind(), BoxTracker(0.004), Teller(), Teller()
    for shown in filmed(canvas(), "none", 30.0):
        teller.take(tracker.update(detector.boxes(shown.image), shown.time_ns), shown.time_ns)
        truth.take(shown.truth, shown.time_ns)
    found = score(teller, truth, 30.0)
    assert (found.entered, found.found) == (2, 2)


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
    films = {name: list(filmed(canvas(), name, 9.0)) for name in NUISANCES}
    assert {len(film) for film in films.values()} == {round(9 * FPS)}
    plain = films.pop("none")
    for name, film in films.items():
        changed = [
            np.abs(one.image.astype(int) - other.image).mean() for one, other in zip(film, plain, strict=True)
        ]
        assert max(changed) > 0.3, name
        assert [one.truth for one in film] == [one.truth for one in plain]


def test_an_unknown_nuisance_is_told(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="no nuisance 'hail'; there is: none, rain"):
        bench((), ["hail"], 16.0, 0, None)
    with pytest.raises(ConfigError, match="can't be read as a picture"):
        bench([tmp_path / "no.png"], ["none"], 16.0, 0, None)


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_the_whole_bench_runs_and_is_stored(tmp_path: Path) -> None:
    bench((), ["none"], 16.0, 0, tmp_path / "found.json")
    (row,) = json.loads((tmp_path / "found.json").read_text())["results"]
    assert row["ours"] == {
        "entered": 1,
        "found": 1,
        "false": 0,
        "quiet_s": row["mog2"]["quiet_s"],
        "false_quiet_s": 0.0,
    }
    assert row["other_events"] == {}
