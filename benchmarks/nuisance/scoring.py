"""Compares the events of a method with those of a perfect tracker under the same rules."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime

from pipeline.base.event import Event, Moment
from pipeline.base.moving_thing import Thing
from pipeline.base.sight import Sight, seen_from_home
from pipeline.base.watched import Rule, Watch, Zone
from pipeline.scene.rule_input import Cut, Look, in_steps
from pipeline.scene.stream_rules import StreamRules

_START_NS = 1_790_000_000 * 10**9
SETTLES_S = 3.0
"""Earlier events are not scored, because each method first has to learn its background."""
_WITHIN_S = 1.5
"""Maximum difference between the reported and the true time for an event to count as found."""
_AROUND_S = 2.5
"""Margin around true motion that is not quiet time: ``moving`` ends two seconds late by design."""
ROAD = Zone(points=[(0.2, 0.45), (0.8, 0.45), (0.8, 0.98), (0.2, 0.98)])
WATCH = Watch(
    zones={"road": ROAD},
    rules={kind: Rule(kind=kind, zone="road") for kind in ("entered", "moving")},
)


@dataclass(slots=True)
class Teller:
    """Applies the rules to the objects of one method, frame by frame.

    Attributes:
        watch: Zones, lines and rules.
        events: Reported events.
    """

    watch: Watch = WATCH
    events: list[Event] = field(default_factory=list)
    _rules: StreamRules = field(init=False)

    def __post_init__(self) -> None:
        self._rules = StreamRules("bench", self.watch)

    def take(
        self, things: Sequence[Thing], time_ns: int, *, depth: int = 2, sight: Sight | None = None
    ) -> None:
        """Adds the objects of the next frame; with ``sight``, in camera coordinates."""
        if sight:
            things = [seen_from_home(thing, sight) for thing in things]
        now = Moment(time_ns + 1, _START_NS + time_ns)
        look = Look(session=1, now=now, depth=depth, things=list(things), sight=sight)
        self.events += self._rules.take(in_steps(look))

    def cut(self, why: str) -> None:
        """Ends open events, at a bad frame or at the end."""
        self.events += self._rules.cut(Cut(why))

    def times(self, rule: str) -> list[float]:
        """Times of the events of a rule that have no duration, in seconds."""
        return [self.seconds_of(event) for event in self._of(rule, "once")]

    def spans(self, rule: str) -> list[tuple[float, float]]:
        """Start and end of the events of a rule that have a duration, in seconds."""
        starts = {event.id: self.seconds_of(event) for event in self._of(rule, "start")}
        ends = {event.start: self.seconds_of(event) for event in self._of(rule, "end")}
        return [(start, ends[number]) for number, start in starts.items() if number in ends]

    def truth(self) -> list["TrueEvent"]:
        """The reported events as ground truth, for objects from the simulation."""
        happened = []
        for name in self.watch.all_rules():
            happened += [TrueEvent(name, time, time) for time in self.times(name)]
            happened += [TrueEvent(name, start, end) for start, end in self.spans(name)]
        return happened

    def others(self) -> dict[str, int]:
        """Counts of other event kinds, such as ``camera_moved``."""
        asked = {rule.kind for rule in self.watch.all_rules().values()}
        kinds = [event.kind for event in self.events if event.kind not in asked]
        return {kind: kinds.count(kind) for kind in dict.fromkeys(kinds)}

    def _of(self, rule: str, phase: str) -> list[Event]:
        return [event for event in self.events if event.rule == rule and event.phase == phase]

    @staticmethod
    def seconds_of(event: Event) -> float:
        """Time of an event since the first frame."""
        return (datetime.fromisoformat(event.time).timestamp() * 1e9 - _START_NS) / 1e9


@dataclass(frozen=True, slots=True)
class TrueEvent:
    """A true event.

    Attributes:
        rule: The rule that should report it.
        from_s: Earliest start.
        to_s: Latest end.
        at_most: Maximum number of reported events for it; a group of people may be one event or several.
    """

    rule: str
    from_s: float
    to_s: float
    at_most: int = 1

    def is_near(self, time: float) -> bool:
        """Whether an event reported at this time can match."""
        return self.from_s - _WITHIN_S <= time <= self.to_s + _WITHIN_S


@dataclass(frozen=True, slots=True)
class Score:
    """Score of one method on one video.

    Attributes:
        true: Number of true events.
        found: Number of true events found.
        false: Number of false events.
        quiet_s: Time without motion in the zones, summed over the rules of kind ``moving``.
        false_quiet_s: Part of ``quiet_s`` in which motion was reported.
    """

    true: int
    found: int
    false: int
    quiet_s: float
    false_quiet_s: float


def score(told: Teller, truth: Sequence[TrueEvent], seconds: float) -> Score:
    """Compares reported with true events."""
    true = found = false = quiet = loud = 0
    for name, rule in told.watch.all_rules().items():
        happened = [event for event in truth if event.rule == name]
        spans = told.spans(name)
        starts = told.times(name) + [start for start, _ in spans]
        lasting = rule.kind == "moving"
        hits, unexplained = _match(starts, happened)
        if lasting:  # a repeated start during true motion is not false
            unexplained = [time for time in unexplained if not any(_around(one, time) for one in happened)]
        true += sum(event.from_s >= SETTLES_S for event in happened)
        found += sum(event.from_s >= SETTLES_S for event in hits)
        false += sum(time >= SETTLES_S for time in unexplained)
        if lasting:
            tenths = [n / 10 for n in range(round(SETTLES_S * 10), round(seconds * 10))]
            still = [time for time in tenths if not any(_around(one, time) for one in happened)]
            quiet += len(still)
            loud += sum(any(start <= time <= end for start, end in spans) for time in still)
    return Score(true, found, false, quiet / 10, loud / 10)


def _match(times: list[float], happened: Sequence[TrueEvent]) -> tuple[list[TrueEvent], list[float]]:
    """The true events found, and the unmatched times."""
    left, hits = sorted(times), []
    for event in sorted(happened, key=lambda one: one.to_s):
        near = [time for time in left if event.is_near(time)][: event.at_most]
        if near:
            hits.append(event)
        for time in near:
            left.remove(time)
    return hits, left


def _around(event: TrueEvent, time: float) -> bool:
    return event.from_s - _AROUND_S <= time <= event.to_s + _AROUND_S
