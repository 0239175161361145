"""What is told of one stream: its predictions go through the rules, in order, and events come out."""

from collections import Counter

from pipeline.base.config import Config
from pipeline.base.event import Event, Moment
from pipeline.scene.health_events import HealthEvents
from pipeline.scene.rule_book import RuleBook
from pipeline.view.watch_overlay import Watched
from pipeline.wire.messages import BadPicture, Prediction

_LIT_NS = 1_000_000_000
"""So long something that is over in a moment is shown."""


class EventFinder:
    """Follows the zones, lines and rules of one stream, and the health of its picture.

    Args:
        stream_id: Its name.
        config: The whole configuration.
    """

    def __init__(self, stream_id: str, config: Config) -> None:
        self._stream_id, self._watch = stream_id, config.watched()
        self._book = RuleBook(stream_id, self._watch)
        self._health = HealthEvents(stream_id)
        self._last: Moment | None = None
        self._session = 0
        self._lasting: Counter[str] = Counter()
        self._lit_until_ns: dict[str, int] = {}
        self._crossed: Counter[tuple[str, str]] = Counter()

    def take(self, prediction: Prediction) -> list[Event]:
        """The events of the next prediction."""
        events = self._health.see_ok()
        if prediction.things is None:
            return events
        now = Moment(prediction.time_ns, prediction.capture_ns)
        if self._last and (prediction.session != self._session or now.time_ns <= self._last.time_ns):
            events += self.end("the stream began anew")
            self._book = RuleBook(self._stream_id, self._watch)
            self._lit_until_ns.clear()
        self._last, self._session = now, prediction.session
        if prediction.depth:
            things = [thing for thing in prediction.things if thing.was]
            events += self._noted(self._book.update(things, now), now)
        else:  # nothing is known of motion, and the things to come may have ids of others
            self._book.forget()
        return events

    def take_bad(self, bad: BadPicture) -> list[Event]:
        """The events of a picture that was not predicted: of motion nothing is known while it lasts."""
        now, before = Moment(bad.time_ns, bad.capture_ns), self._health.state
        events = self._health.see_bad(bad.state, now, bad.for_s, bad.ok_for_s, bad.why)
        if before is None:
            events = self._suspend(f"the picture is {bad.state}".replace("_", "-")) + events
        return events

    def end(self, why: str) -> list[Event]:
        """The ends of all that has begun."""
        return self._end_motion(why) + self._health.end(why)

    def _suspend(self, why: str) -> list[Event]:
        ended = self._end_motion(why)
        self._book.forget()
        return ended

    def _end_motion(self, why: str) -> list[Event]:
        return self._noted(self._book.end(self._last, why), self._last) if self._last else []

    def watched(self) -> list[Watched]:
        """Zones and lines as they are now."""
        now_ns = self._last.time_ns if self._last else 0
        zones = {name: zone for name, zone in self._watch.zones.items() if zone.is_in(self._stream_id)}
        lines = {name: line for name, line in self._watch.lines.items() if line.is_in(self._stream_id)}

        def is_lit(name: str) -> bool:
            return self._lasting[name] > 0 or self._lit_until_ns.get(name, 0) > now_ns

        return [
            *(Watched(name, zone.points, is_lit=is_lit(name)) for name, zone in zones.items()),
            *(
                Watched(name, line.points, is_line=True, is_lit=is_lit(name), count=self._count(name))
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
