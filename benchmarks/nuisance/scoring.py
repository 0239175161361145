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
"""What is told, or true, earlier than this does not count: each method first has to learn its background."""
_WITHIN_S = 1.5
"""A true event counts as found that is told so near to its time."""
_AROUND_S = 2.5
"""So long around true motion nothing counts as quiet: ``moving`` ends two seconds late by itself."""
ROAD = Zone(points=[(0.2, 0.45), (0.8, 0.45), (0.8, 0.98), (0.2, 0.98)])
WATCH = Watch(
    zones={"road": ROAD},
    rules={kind: Rule(kind=kind, zone="road") for kind in ("entered", "moving")},
)


@dataclass(slots=True)
class Teller:
    """Takes the things of one method, picture by picture, through the rules.

    Attributes:
        watch: What to tell of.
        events: What was told.
    """

    watch: Watch = WATCH
    events: list[Event] = field(default_factory=list)
    _rules: StreamRules = field(init=False)

    def __post_init__(self) -> None:
        self._rules = StreamRules("bench", self.watch)

    def take(
        self, things: Sequence[Thing], time_ns: int, *, depth: int = 2, sight: Sight | None = None
    ) -> None:
        """The things of the next picture; with ``sight``, as the camera saw them."""
        if sight:
            things = [seen_from_home(thing, sight) for thing in things]
        now = Moment(time_ns + 1, _START_NS + time_ns)
        look = Look(session=1, now=now, depth=depth, things=list(things), sight=sight)
        self.events += self._rules.take(in_steps(look))

    def cut(self, why: str) -> None:
        """What has begun ends: the picture is bad, or it is the last one."""
        self.events += self._rules.cut(Cut(why))

    def times(self, rule: str) -> list[float]:
        """When a rule told of what has no end, in seconds."""
        return [self.seconds_of(event) for event in self._of(rule, "once")]

    def spans(self, rule: str) -> list[tuple[float, float]]:
        """From when to when a rule told of what lasts, in seconds."""
        starts = {event.id: self.seconds_of(event) for event in self._of(rule, "start")}
        ends = {event.start: self.seconds_of(event) for event in self._of(rule, "end")}
        return [(start, ends[number]) for number, start in starts.items() if number in ends]

    def truth(self) -> list["TrueEvent"]:
        """What was told, as what is true: the things were known and not seen."""
        happened = []
        for name in self.watch.all_rules():
            happened += [TrueEvent(name, time, time) for time in self.times(name)]
            happened += [TrueEvent(name, start, end) for start, end in self.spans(name)]
        return happened

    def others(self) -> dict[str, int]:
        """How often anything else was told, such as ``camera_moved``."""
        asked = {rule.kind for rule in self.watch.all_rules().values()}
        kinds = [event.kind for event in self.events if event.kind not in asked]
        return {kind: kinds.count(kind) for kind in dict.fromkeys(kinds)}

    def _of(self, rule: str, phase: str) -> list[Event]:
        return [event for event in self.events if event.rule == rule and event.phase == phase]

    @staticmethod
    def seconds_of(event: Event) -> float:
        """When it happened, since the first picture."""
        return (datetime.fromisoformat(event.time).timestamp() * 1e9 - _START_NS) / 1e9


@dataclass(frozen=True, slots=True)
class TrueEvent:
    """What happened.

    Attributes:
        rule: The rule that should tell of it.
        from_s: When it began, at the earliest.
        to_s: When it was over, at the latest.
        at_most: How many events may tell of it: people who come together are one event or several.
    """

    rule: str
    from_s: float
    to_s: float
    at_most: int = 1

    def is_near(self, time: float) -> bool:
        """Whether what was told then may be about it."""
        return self.from_s - _WITHIN_S <= time <= self.to_s + _WITHIN_S


@dataclass(frozen=True, slots=True)
class Score:
    """One method on one film.

    Attributes:
        true: Events that happened.
        found: Of these.
        false: Events that were told and did not happen.
        quiet_s: For how long nothing moved in the zones; counted for each rule ``moving``.
        false_quiet_s: For how long of that something was said to move.
    """

    true: int
    found: int
    false: int
    quiet_s: float
    false_quiet_s: float


def score(told: Teller, truth: Sequence[TrueEvent], seconds: float) -> Score:
    """Compares what was told with what happened."""
    true = found = false = quiet = loud = 0
    for name, rule in told.watch.all_rules().items():
        happened = [event for event in truth if event.rule == name]
        spans = told.spans(name)
        starts = told.times(name) + [start for start, _ in spans]
        lasting = rule.kind == "moving"
        hits, unexplained = _match(starts, happened)
        if lasting:  # it may begin anew while it goes on
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
    """The true events that were found, and the times that belong to none."""
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
