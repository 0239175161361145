import pytest

from pipeline.base.event import Event, Moment
from pipeline.base.watched import Rule
from pipeline.scene.label_events import LabelEvents
from pipeline.scene.steady_label import Held

S = 10**9
WALL = 1_790_000_000 * S


def at(seconds: float) -> Moment:
    return Moment(round(seconds * S), WALL + round(seconds * S))


CLOSED, OPEN, AGAIN = Held("closed", 0.9, at(1)), Held("open", 0.8, at(10)), Held("closed", 0.7, at(20))


def told(rules: dict[str, Rule], ends: float = 30.0, stream_id: str = "door") -> list[Event]:
    """Closed, open from 10 to 20 s, closed; each counts a second after it began."""
    labels, events = LabelEvents(stream_id, rules, {}), []
    for n in range(round(ends * 10)):
        held = next((one for one in (AGAIN, OPEN, CLOSED) if n / 10 >= one.since.time_ns / S + 1), None)
        events += labels.update(held, at(n / 10))
    return events + labels.end(at(ends), "the stream has ended")


def test_without_a_rule_each_label_is_told_from_start_to_end() -> None:
    events = told({"visitor": Rule(kind="entered", zone="yard")})
    assert [(one.kind, one.phase, one.why.get("label"), one.score, one.for_s) for one in events] == [
        ("label", "start", "closed", 0.9, None),
        ("label", "end", "closed", None, 9.0),
        ("label", "start", "open", 0.8, None),
        ("label", "end", "open", None, 10.0),
        ("label", "start", "closed", 0.7, None),
        ("label", "end", "closed", None, 10.0),
    ]
    assert [one.start for one in events[1::2]] == [one.id for one in events[::2]]
    assert events[0].time == "2026-09-21T14:13:21.000Z", "when it began, not when it was clear"
    assert events[-1].why == {"label": "closed", "ended": "the stream has ended"}
    assert len({one.id for one in events}) == 6


def test_a_rule_about_one_label_tells_no_other() -> None:
    events = told({"door": Rule(kind="label", label="open")})
    assert [(one.rule, one.phase, one.why) for one in events] == [
        ("door", "start", {"label": "open"}),
        ("door", "end", {"label": "open"}),
    ]


@pytest.mark.parametrize(
    ("for_s", "labels"), [(10.5, ["open"]), (11.5, []), (2.0, ["closed", "open", "closed"])]
)
def test_a_rule_may_want_a_label_to_last(for_s: float, labels: list[str]) -> None:
    events = told({"door": Rule(kind="label", for_s=for_s)})
    assert [one.why["label"] for one in events if one.phase == "start"] == labels


def test_a_rule_may_be_about_other_streams_and_about_sure_labels() -> None:
    elsewhere = {"door": Rule(kind="label", streams=["gate"])}
    assert told(elsewhere) == []
    assert len(told(elsewhere, stream_id="gate")) == 6
    sure = told({"door": Rule(kind="label", min_score=0.85)})
    assert [one.score for one in sure if one.phase == "start"] == [0.9]
