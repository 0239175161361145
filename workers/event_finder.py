"""Applies the rules to the predictions of one stream, in order, and returns events."""

from collections import Counter
from collections.abc import Callable

from pipeline.base.camera_motions import CAMERA_MOTIONS
from pipeline.base.config import Config
from pipeline.base.event import Event, Moment
from pipeline.base.moving_thing import Point
from pipeline.base.sight import Sight, seen_from_home
from pipeline.base.watched import Line, Watch, Zone
from pipeline.events.motion_log import LogPart
from pipeline.scene.crossing_counts import CrossingCounts
from pipeline.scene.ground import GroundSpeed
from pipeline.scene.health_events import HealthEvents
from pipeline.scene.rule_input import STARTED, Cut, Look, in_steps
from pipeline.scene.steady_label import Held, SteadyLabel
from pipeline.scene.stream_rules import RULES_CHANGED, StreamRules
from pipeline.view.watch_overlay import Watched
from pipeline.wire.messages import BadPicture, Prediction

_LIT_NS = 1_000_000_000
"""How long a momentary event stays highlighted."""


class EventFinder:
    """Evaluates the zones, lines and rules of one stream, and its image health.

    Args:
        stream_id: The stream's id.
        config: The whole configuration.
        log: Receives the input of the rules in order: the motion log. None if there is no log.
        crossed: Counts the line crossings of all streams; None creates a counter for this stream.
    """

    def __init__(
        self,
        stream_id: str,
        config: Config,
        log: Callable[[str, LogPart], None] | None = None,
        crossed: CrossingCounts | None = None,
    ) -> None:
        self._stream_id = stream_id
        self._rules, self._log = StreamRules(stream_id, config.watched()), log
        self._is_logged = False
        self._health, self._label = HealthEvents(stream_id), SteadyLabel()
        self._has_own_classes = False
        self._sight: Sight | None = None
        self._lasting: Counter[str] = Counter()
        self._lit_until_ns: dict[str, int] = {}
        self._crossed = CrossingCounts() if crossed is None else crossed

    def take(self, prediction: Prediction) -> list[Event]:
        """Takes the next prediction; returns its events."""
        events = self._health.see_ok()
        label = self._see_label(prediction)
        if prediction.things is None and label is None and self._rules.last is None:
            return events
        if not self._is_logged:
            self._keep(STARTED)
            self._is_logged = True
        self._sight = prediction.sight
        look = in_steps(_look(prediction, label))
        told = self._rules.take(look)
        if self._rules.is_new:
            self._lit_until_ns.clear()
        self._keep(look)
        return events + self._noted(told, look.now)

    def take_bad(self, bad: BadPicture) -> list[Event]:
        """Takes a bad frame that was not predicted; returns events and ends open motion events."""
        now, before = Moment(bad.time_ns, bad.capture_ns), self._health.state
        events = self._health.see_bad(bad.state, now, bad.for_s, bad.ok_for_s, bad.why)
        if before is None:
            events = self._cut(f"the image is {bad.state}".replace("_", "-")) + events
        return events

    def replace_watch(self, watch: Watch, why: str = RULES_CHANGED) -> list[Event]:
        """Applies other zones, lines and rules; unchanged ones keep their state.

        The change is not logged: a replay applies one set of rules to the whole log.

        Args:
            watch: The new zones, lines and rules.
            why: The reason given in the end events.

        Returns:
            End events of open events whose zone, line or rule has changed.
        """
        before, last = self._rules.watch, self._rules.last
        ends = self._rules.replace_watch(watch, why)
        events = self._noted(ends, last) if last else []

        def is_same(name: str) -> bool:
            return before.place_in(self._stream_id, name) == watch.place_in(self._stream_id, name) is not None

        self._crossed.replace_watch(self._stream_id, before, watch)
        self._lit_until_ns = {name: at_ns for name, at_ns in self._lit_until_ns.items() if is_same(name)}
        return events

    def end(self, why: str) -> list[Event]:
        """End events of all open events."""
        return self._cut(why) + self._health.end(why)

    def _cut(self, why: str) -> list[Event]:
        """Ends open events of zones and views."""
        last = self._rules.last
        if last is None:
            return []
        cut = Cut(why)
        self._label.forget()
        self._keep(cut)
        return self._noted(self._rules.cut(cut), last)

    def ground_speeds(self, prediction: Prediction) -> dict[int, GroundSpeed]:
        """Ground speed in m/s of the moving objects in a prediction, by id, where it is known."""
        sight = prediction.sight
        if not self._rules.seen.ground or (sight and not sight.found):
            return {}
        found = {thing.id: self._rules.speed_of(thing) for thing in _look(prediction, None).things}
        return {number: figure for number, figure in found.items() if figure}

    def watched(self) -> list[Watched]:
        """Zones and lines with their current state, in image coordinates."""
        last, seen, sight = self._rules.last, self._rules.seen, self._sight
        now_ns = last.time_ns if last else 0
        is_lost = sight is not None and not sight.found

        def points(place: Zone | Line) -> list[Point]:
            return [sight.in_picture(point) for point in place.points] if sight else place.points

        def is_lit(name: str) -> bool:
            return self._lasting[name] > 0 or self._lit_until_ns.get(name, 0) > now_ns

        return [
            *(
                Watched(name, points(zone), is_lit=is_lit(name), note="suspended" if is_lost else "")
                for name, zone in seen.zones.items()
            ),
            *(
                Watched(
                    name,
                    points(line),
                    is_line=True,
                    is_lit=is_lit(name),
                    note="suspended" if is_lost else self._count(name),
                )
                for name, line in seen.lines.items()
            ),
        ]

    def _count(self, line: str) -> str:
        forward, backward = self._crossed.of(self._stream_id, line)
        return f"{forward} forward, {backward} back" if forward or backward else ""

    def _see_label(self, prediction: Prediction) -> Held | None:
        """The current label of a model with user-defined classes; None for camera motions."""
        now = Moment(prediction.time_ns, prediction.capture_ns)
        if self._rules.begins_anew(prediction.session, now):
            self._label.forget()
        self._has_own_classes |= any(label not in CAMERA_MOTIONS for label, _ in prediction.top)
        if not self._has_own_classes:
            return None
        return self._label.see(prediction.top, now) if prediction.depth else self._label.held

    def _keep(self, part: LogPart) -> None:
        if self._log is not None:
            self._log(self._stream_id, part)

    def _noted(self, events: list[Event], now: Moment) -> list[Event]:
        for event in events:
            where = event.zone or event.line or ""
            self._lasting[where] += {"start": 1, "end": -1, "once": 0}[event.phase]
            if event.phase == "once":
                self._lit_until_ns[where] = now.time_ns + _LIT_NS
            self._crossed.take(event)
        return events


def _look(prediction: Prediction, label: Held | None) -> Look:
    sight = prediction.sight
    things = [thing for thing in prediction.things or () if thing.was]
    return Look(
        session=prediction.session,
        now=Moment(prediction.time_ns, prediction.capture_ns),
        depth=0 if prediction.things is None else prediction.depth,
        things=[seen_from_home(thing, sight) for thing in things] if sight else things,
        sight=sight,
        label=label,
    )
