"""Events of each method against those that a perfect tracker would give, under the same rules."""

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
_WITHIN_S = 1.5
"""An entering counts as found that is told so near to its true time."""
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

    def entered(self) -> list[float]:
        """When things came in, in seconds."""
        return [self.seconds_of(event) for event in self.events if event.kind == "entered"]

    def moving(self) -> list[tuple[float, float]]:
        """From when to when something moved, in seconds."""
        starts = {
            event.id: event for event in self.events if event.kind == "moving" and event.phase == "start"
        }
        ends = [event for event in self.events if event.kind == "moving" and event.phase == "end"]
        return [
            (self.seconds_of(starts[end.start]), self.seconds_of(end)) for end in ends if end.start in starts
        ]

    @staticmethod
    def seconds_of(event: Event) -> float:
        """When it happened, since the first picture."""
        return (datetime.fromisoformat(event.time).timestamp() * 1e9 - _START_NS) / 1e9

    def others(self) -> dict[str, int]:
        """How often anything else was told, such as ``camera_moved``."""
        kinds = [event.kind for event in self.events if event.kind not in ("entered", "moving")]
        return {kind: kinds.count(kind) for kind in dict.fromkeys(kinds)}


@dataclass(frozen=True, slots=True)
class Score:
    """One method on one film.

    Attributes:
        entered: True enterings.
        found: Of these.
        false: Enterings that were told and are none.
        quiet_s: For how long nothing moved in the zone.
        false_quiet_s: For how long of that something was said to move.
    """

    entered: int
    found: int
    false: int
    quiet_s: float
    false_quiet_s: float


def score(told: Teller, truth: Teller, seconds: float) -> Score:
    """Compares what was told with the truth."""
    left = told.entered()
    found = 0
    for time in truth.entered():
        nearest = min(left, key=lambda other: abs(other - time), default=None)
        if nearest is not None and abs(nearest - time) <= _WITHIN_S:
            left.remove(nearest)
            found += 1
    busy = [(start - _AROUND_S, end + _AROUND_S) for start, end in truth.moving()]
    moving = told.moving()
    tenths = [n / 10 for n in range(round(seconds * 10))]
    quiet = [time for time in tenths if not _is_in(time, busy)]
    return Score(
        entered=len(truth.entered()),
        found=found,
        false=len(left),
        quiet_s=round(len(quiet) / 10, 1),
        false_quiet_s=round(sum(_is_in(time, moving) for time in quiet) / 10, 1),
    )


def _is_in(time: float, spans: list[tuple[float, float]]) -> bool:
    return any(start <= time <= end for start, end in spans)
