"""The rules of one stream: live in the sink, or replayed from the motion log."""

from pipeline.base.event import Event, Moment
from pipeline.base.moving_thing import Thing
from pipeline.base.sight import Sight, why_another
from pipeline.base.watched import UNNAMED_VIEW, Watch
from pipeline.scene.ground import GroundSpeed
from pipeline.scene.label_events import LabelEvents
from pipeline.scene.rule_book import RuleBook
from pipeline.scene.rule_input import Cut, Look
from pipeline.scene.view_events import ViewEvents

RULES_CHANGED = "the rules were changed"
"""Reason for ends caused by a change of rules."""


class StreamRules:
    """Applies the rules to the predictions of one stream, in order.

    Args:
        stream_id: The stream.
        watch: Zones, lines and rules.

    Attributes:
        last: Time of the latest prediction; None before the first.
        is_new: Whether the stream restarted with it.
        watch: Zones, lines and rules of all streams.
        seen: The part of ``watch`` that applies to the camera's current view.
    """

    def __init__(self, stream_id: str, watch: Watch) -> None:
        self._stream_id, self.watch = stream_id, watch
        self._session = 0
        self._views = ViewEvents(stream_id)
        self._view: tuple[str, int] | None = None
        self._quiet_until_ns: dict[str, float] = {}
        self._labels = LabelEvents(stream_id, watch.rules, self._quiet_until_ns)
        self._open(None)
        self.last: Moment | None = None
        self.is_new = False

    def take(self, look: Look) -> list[Event]:
        """The events of the next prediction, which must be quantised (``in_steps``)."""
        now, sight, events = look.now, look.sight, []
        self.is_new = self.begins_anew(look.session, now)
        if self.is_new:
            events = self.cut(Cut("the stream restarted"))
            if self.last and self.last.time_ns > now.time_ns:
                self._quiet_until_ns.clear()  # times of another clock
            self._open(None)
        self.last, self._session = now, look.session
        events += self._labels.update(look.label, now)
        if sight:
            events += self._views.update(sight, now)
            events += self._turned(sight, now)
        if look.depth and (sight is None or sight.found):
            events += self._book.update(look.things, now, sight)
        else:  # no motion is known, and ids may be reused
            self._book.forget()
        return events

    def begins_anew(self, session: int, now: Moment) -> bool:
        """Whether a prediction does not continue those before it."""
        return self.last is not None and (session != self._session or now.time_ns < self.last.time_ns)

    def cut(self, cut: Cut) -> list[Event]:
        """The end events of all open episodes; what is seen afterwards is new."""
        if self.last is None:
            return []
        parts = (self._book, self._views, self._labels)
        events = [event for part in parts for event in part.end(self.last, cut.why)]
        self._book.forget()
        return events

    def replace_watch(self, watch: Watch, why: str = RULES_CHANGED) -> list[Event]:
        """Replaces zones, lines, rules and ground; unchanged rules keep their state.

        Args:
            watch: The new watch.
            why: Reason stated in the end events.

        Returns:
            The end events of episodes whose rule, zone or line changed or was removed.
        """
        rules = watch.all_rules()
        for name, rule in self.watch.all_rules().items():
            if rules.get(name) != rule:
                self._quiet_until_ns.pop(name, None)
        self.watch, self.seen = watch, watch.seen(self._stream_id, self._view[0] if self._view else None)
        now = self.last or Moment(0, 0)  # before the first prediction no episode is open
        events = self._book.replace_watch(self.seen, now, why)
        return events + self._labels.replace_rules(watch.rules, now, why)

    def speed_of(self, thing: Thing) -> GroundSpeed | None:
        """Ground speed of a thing in metres per second in the current view; None if unknown."""
        return self._book.speeds.of(thing)

    def _turned(self, sight: Sight, now: Moment) -> list[Event]:
        """Ends open episodes if the view is lost or has changed."""
        events = list[Event]()
        if why := why_another(self._view, sight):
            if self._view is not None or sight.view != UNNAMED_VIEW:
                events = self._book.end(now, why)
                self._open(sight.view)
            self._view = sight.view, sight.taken_ns
        return events if sight.found else events + self._book.end(now, "the view was lost")

    def _open(self, view: str | None) -> None:
        self._view = None
        self.seen = self.watch.seen(self._stream_id, view)
        self._book = RuleBook(self._stream_id, self.seen, self._quiet_until_ns)
