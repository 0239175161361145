from pipeline.base.event import Event, EventKind, rfc3339
from pipeline.base.watched import Line, Watch
from pipeline.scene.crossing_counts import CrossingCounts

GATE, MOVED = Line(points=[(0.5, 0.0), (0.5, 1.0)]), Line(points=[(0.6, 0.0), (0.6, 1.0)])


def event(stream_id: str, way: str, line: str | None = "gate", kind: EventKind = "crossed") -> Event:
    return Event(
        id="1", time=rfc3339(0), stream_id=stream_id, kind=kind, phase="once", line=line, why={"way": way}
    )


def counted() -> CrossingCounts:
    counts = CrossingCounts()
    for way in ("forward", "forward", "backward"):
        counts.take(event("front", way))
    counts.take(event("back", "forward"))
    return counts


def test_each_way_of_each_line_is_counted_in_each_stream() -> None:
    counts = counted()
    counts.take(event("front", "forward", None, "entered"))
    assert counts.of("front", "gate") == (2, 1)
    assert counts.of("back", "gate") == (1, 0)
    assert counts.of("back", "door") == (0, 0)


def test_with_another_watch_only_what_is_not_the_same_counts_anew() -> None:
    before, moved = Watch(lines={"gate": GATE}), Watch(lines={"gate": MOVED})
    counts = counted()
    counts.replace_watch("front", before, Watch(lines={"gate": GATE, "door": MOVED}))
    assert counts.of("front", "gate") == (2, 1)
    counts.replace_watch("front", before, moved)
    assert counts.of("front", "gate") == (0, 0)
    assert counts.of("back", "gate") == (1, 0), "each stream says so for itself"
    counts.replace_watch("back", before, Watch())
    assert counts.of("back", "gate") == (0, 0)
