from benchmarks.event_cost import Scene, measure, watch
from pipeline.base.event import Moment
from pipeline.scene.rule_book import RuleBook
from pipeline.scene.things import ThingTracker


def test_every_stage_is_timed_with_as_many_things_as_it_says() -> None:
    rows = measure(3, 2.0, 1)
    assert [row.stage for row in rows] == ["things", "home", "rules", "health", "log", "store"]
    assert all(row.things == 3 and row.frames == 50 and row.ms > 0 for row in rows)


def test_the_things_are_followed_and_the_rules_are_told() -> None:
    scene, tracker, book = Scene(5), ThingTracker(), RuleBook("camera", watch())
    times = [Moment(n * 40_000_000 + 1, n * 40_000_000) for n in range(50)]
    found = [tracker.update(scene.motion(n / 25), now.time_ns) for n, now in enumerate(times)]
    assert len(found[-1]) == 5
    assert (len(watch().zones), len(watch().lines), len(watch().rules)) == (10, 5, 20)
    assert [event for things, now in zip(found, times, strict=True) for event in book.update(things, now)]
