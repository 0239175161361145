"""What is told of one stream: its predictions go through the rules, in order, and events come out."""

from collections import Counter

from pipeline.base.config import Config
from pipeline.base.event import Event, Moment
from pipeline.base.moving_thing import Point
from pipeline.base.sight import Sight, seen_from_home
from pipeline.base.watched import Line, Zone
from pipeline.scene.rule_book import RuleBook
from pipeline.scene.view_events import ViewEvents
from pipeline.view.watch_overlay import Watched
from pipeline.wire.messages import Prediction

_LIT_NS = 1_000_000_000
"""So long something that is over in a moment is shown."""


class EventFinder:
    """Follows the zones, lines and rules of one stream.

    Args:
        stream_id: Its name.
        config: The whole configuration.
    """

    def __init__(self, stream_id: str, config: Config) -> None:
        self._stream_id, self._watch = stream_id, config.watched()
        self._open_view(None)
        self._views = ViewEvents(stream_id)
        self._sight: Sight | None = None
        self._last: Moment | None = None
        self._session = 0
        self._lasting: Counter[str] = Counter()
        self._lit_until_ns: dict[str, int] = {}
        self._crossed: Counter[tuple[str, str]] = Counter()

    def take(self, prediction: Prediction) -> list[Event]:
        """The events of the next prediction."""
        if prediction.things is None:
            return []
        now, events = Moment(prediction.time_ns, prediction.capture_ns), []
        if self._last and (prediction.session != self._session or now.time_ns <= self._last.time_ns):
            events = self.end("the stream began anew")
            self._open_view(None)
            self._lit_until_ns.clear()
        self._last, self._session = now, prediction.session
        sight = prediction.sight
        if sight:
            events += self._views.update(sight, now)
            events += self._look_from(sight, now)
        self._sight = sight
        is_lost = sight is not None and not sight.found
        if prediction.depth and not is_lost:
            things = [thing for thing in prediction.things if thing.was]
            if sight:
                things = [seen_from_home(thing, sight) for thing in things]
            events += self._noted(self._book.update(things, now), now)
        else:  # nothing is known of motion, and the things to come may have ids of others
            self._book.forget()
        return events

    def end(self, why: str) -> list[Event]:
        """The ends of all that has begun."""
        if self._last is None:
            return []
        return [
            *self._noted(self._book.end(self._last, why), self._last),
            *self._views.end(self._last, why),
        ]

    def _open_view(self, name: str | None) -> None:
        self._view, self._seen = name, self._watch.seen(self._stream_id, name)
        self._book = RuleBook(self._stream_id, self._seen)

    def _look_from(self, sight: Sight, now: Moment) -> list[Event]:
        """Ends what has begun where the view is lost, or another one has come."""
        if sight.view != self._view:
            events = self._noted(self._book.end(now, "the camera shows another view"), now)
            self._open_view(sight.view)
            return events
        return [] if sight.found else self._noted(self._book.end(now, "the view is lost"), now)

    def watched(self) -> list[Watched]:
        """Zones and lines as they are now."""
        now_ns = self._last.time_ns if self._last else 0
        zones, lines, sight = self._seen.zones, self._seen.lines, self._sight
        is_lost = sight is not None and not sight.found

        def points(place: Zone | Line) -> list[Point]:
            return [sight.in_picture(point) for point in place.points] if sight else place.points

        def is_lit(name: str) -> bool:
            return self._lasting[name] > 0 or self._lit_until_ns.get(name, 0) > now_ns

        return [
            *(
                Watched(name, points(zone), is_lit=is_lit(name), note="suspended" if is_lost else "")
                for name, zone in zones.items()
            ),
            *(
                Watched(
                    name,
                    points(line),
                    is_line=True,
                    is_lit=is_lit(name),
                    note="suspended" if is_lost else self._count(name),
                )
                for name, line in lines.items()
            ),
        ]

    def _count(self, line: str) -> str:
        forward, backward = (self._crossed[line, way] for way in ("forward", "backward"))
        return f"{forward} forward, {backward} back" if forward or backward else ""

    def _noted(self, events: list[Event], now: Moment) -> list[Event]:
        for event in events:
            where = event.zone or event.line or ""
            self._lasting[where] += {"start": 1, "end": -1, "once": 0}[event.phase]
            if event.phase == "once":
                self._lit_until_ns[where] = now.time_ns + _LIT_NS
            if event.kind == "crossed":
                self._crossed[where, event.why["way"]] += 1
        return events
